// What pages do besides links and forms: they stay current while somebody looks, draw charts, copy, and obey a few keys.
"use strict";

const shown = () => document.visibilityState === "visible";

// ---- Times in the browser's own zone; the page says UTC, and keeps it as the title.
function localTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(each.dateTime);
    each.title = each.dateTime;
    const pad = (n, width = 2) => String(n).padStart(width, "0");
    each.textContent = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  }
}

// ---- Charts
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function axes(unit) {
  const line = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--soft"), grid: line, ticks: line, font: "12px system-ui" };
  return [axis, { ...axis, size: 56, values: (_, values) => values.map((value) => `${value}${unit}`) }];
}

function charts(root) {
  if (!window.uPlot) return;
  for (const place of root.querySelectorAll("[data-chart]")) {
    if (place.firstChild) continue;
    const chart = JSON.parse(place.dataset.chart);
    const end = chart.times.at(-1); // what uPlot makes of a single point is a range of years
    const strokes = [colour("--link"), colour("--focus"), colour("--good")];
    const series = chart.series.map((each, at) => ({ label: each.label, stroke: strokes[at % 3], width: 1.5, points: { show: chart.times.length < 3 } }));
    const size = { width: place.clientWidth - 2, height: 170 };
    new uPlot({ ...size, series: [{}, ...series], axes: axes(chart.unit), legend: { live: true }, scales: { x: { range: (_, first, last) => end === undefined ? [first, last] : [Math.min(chart.times[0], end - 600), end] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } } },
      [chart.times, ...chart.series.map((each) => each.values)], place);
    place.setAttribute("role", "img");
    const last = chart.series.map((each) => `${each.label} ${each.values.at(-1) ?? "not known"}${chart.unit}`).join(", ");
    place.setAttribute("aria-label", `${chart.title}: ${last}`);
  }
  for (const place of root.querySelectorAll("[data-bars]")) {
    if (place.firstChild) continue;
    const bars = JSON.parse(place.dataset.bars);
    const drawn = new uPlot({
      width: place.clientWidth - 2, height: 110, legend: { show: false }, axes: axes(""), cursor: { drag: { x: true, y: false, setScale: false } },
      scales: { x: { range: () => [bars.times[0], bars.times[0] + bars.times.length * bars.width] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      series: [{}, { label: "all", fill: colour("--link"), stroke: colour("--link"), width: 0, paths: uPlot.paths.bars({ size: [0.9], align: 1 }), points: { show: false } },
        { label: "failed", fill: colour("--bad"), stroke: colour("--bad"), width: 0, paths: uPlot.paths.bars({ size: [0.9], align: 1 }), points: { show: false } }],
      hooks: { setSelect: [(plot) => {
        if (plot.select.width < 4) return;
        const at = (left) => new Date(plot.posToVal(left, "x") * 1000).toISOString();
        const url = new URL(location.href);
        for (const name of ["since", "before"]) url.searchParams.delete(name);
        url.searchParams.set("from", at(plot.select.left));
        url.searchParams.set("to", at(plot.select.left + plot.select.width));
        location.assign(url);
      }] },
    }, [bars.times, bars.all, bars.failed], place);
    drawn.root.setAttribute("aria-hidden", "true"); // the ranges below say the same as links
  }
}

// ---- Parts that stay current: told when something changed, asked for only while somebody looks.
let news = null;

function refresh() {
  for (const each of document.querySelectorAll("[data-refresh]")) {
    if (each.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, pre, button")) continue;
    htmx.ajax("GET", each.dataset.refresh, { target: each, swap: "outerHTML", select: `#${each.id}` });
  }
}

function listen() {
  const wanted = document.querySelector("[data-refresh]") !== null && shown();
  if (!wanted && news) { news.close(); news = null; }
  if (wanted && !news) {
    news = new EventSource("/events");
    news.addEventListener("changed", () => { if (shown()) refresh(); });
  }
}

// ---- The live tail
function tail() {
  const list = document.querySelector("[data-tail]");
  if (!list) return;
  const button = document.getElementById("pause");
  const most = 200;
  let stream = null, paused = false;
  const open = () => {
    if (stream || paused || !shown()) return;
    stream = new EventSource(list.dataset.tail);
    stream.addEventListener("rows", (event) => {
      const rows = document.createElement("template");
      rows.innerHTML = event.data; // made and escaped by the server; the policy of the page lets no script of it run
      list.prepend(rows.content);
      while (list.rows.length > most) list.deleteRow(-1);
      localTimes(list);
    });
  };
  const close = () => { if (stream) stream.close(); stream = null; };
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
    if (paused) close(); else open();
  });
  document.addEventListener("visibilitychange", () => { if (shown()) open(); else close(); });
  window.addEventListener("pagehide", close);
  open();
}

// ---- Saved views of Requests: a name and a query, kept by this browser.
function saved() {
  const form = document.getElementById("save"), list = document.getElementById("saved");
  if (!form) return;
  const most = 50, kept = "headrace saved views";
  const read = () => { try { const found = JSON.parse(localStorage.getItem(kept) ?? "[]"); return Array.isArray(found) ? found.filter((each) => typeof each.name === "string" && typeof each.query === "string") : []; } catch { return []; } };
  const write = (views) => { try { localStorage.setItem(kept, JSON.stringify(views.slice(0, most))); } catch { /* a browser that keeps nothing */ } show(); };
  const show = () => {
    for (const each of list.querySelectorAll("[data-saved]")) each.remove();
    for (const view of read()) {
      const item = document.createElement("li"), link = document.createElement("a"), gone = document.createElement("button");
      item.dataset.saved = "";
      link.href = `/requests?${new URLSearchParams(view.query)}`;
      link.textContent = view.name;
      gone.type = "button";
      gone.textContent = "×";
      gone.setAttribute("aria-label", `Forget ${view.name}`);
      gone.addEventListener("click", () => write(read().filter((each) => each.name !== view.name)));
      item.append(link, " ", gone);
      list.append(item);
    }
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = new URLSearchParams(location.search), name = form.elements.name.value.trim();
    query.delete("before");
    if (name) write([...read().filter((each) => each.name !== name), { name, query: String(query) }]);
    form.reset();
  });
  show();
}

// ---- Keys
const places = { o: "/", q: "/queues", r: "/requests", t: "/tail", d: "/dead-letters", l: "/limits", p: "/providers", s: "/scaling", c: "/cache", a: "/audit" };
let going = 0;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("find").focus(); return; }
  if (event.key === "g") { going = Date.now(); return; }
  if (Date.now() - going < 1500 && places[event.key]) location.assign(places[event.key]);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try { await navigator.clipboard.writeText(source.value); button.textContent = "Copied"; } catch { source.select(); button.textContent = "Selected: copy it"; }
});

function dress() { localTimes(document); charts(document); listen(); }

document.addEventListener("visibilitychange", () => { listen(); if (shown() && news) refresh(); });
window.addEventListener("pagehide", () => { if (news) news.close(); news = null; });
window.addEventListener("pageshow", listen);
for (const name of ["htmx:after:swap", "htmx:after:settle", "htmx:afterSwap"]) document.addEventListener(name, dress);
dress();
tail();
saved();
