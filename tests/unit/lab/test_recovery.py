"""How long a fault was felt; figures and the report of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson

from ops.lab.book import Book, Disturbance
from ops.lab.checker import check
from ops.lab.figures import answers_over_time, drifts, one_line
from ops.lab.recovery import recoveries
from ops.lab.report import bars, write_report
from ops.lab.run import Outcome, Sample
from ops.lab.schedule import make_schedule
from tests.unit.lab.test_checker import LIMIT, name, ok, well

CUT = Disturbance("net_cut", "broker 1", 10.0, 14.0, 14.0)


def unlimited() -> Book:
    return replace(well(), limits={})


def held_up(book: Book, begin: int, end: int, until: float) -> Book:
    """Requests asked between two seconds are answered only at `until`."""
    ends = [replace(each, at=until) if begin <= book.asked[each.request_id].at < end else each for each in book.ended]
    return replace(book, ended=ends)


def test_a_fault_that_nobody_felt_took_no_time() -> None:
    (one,) = recoveries(replace(well(), disturbances=[CUT]))
    assert (one.slow, one.felt_s, one.recovered_s) == (0, 0.0, 0.0)


def test_a_fault_is_felt_until_the_last_slow_answer() -> None:
    (one,) = recoveries(replace(held_up(unlimited(), 9, 15, 18.0), disturbances=[CUT]))
    assert (one.slow, one.felt_s, one.recovered_s) == (6, 8.0, 4.0)


def test_requests_that_may_wait_for_a_limit_do_not_count() -> None:
    (one,) = recoveries(replace(held_up(well(), 9, 15, 18.0), disturbances=[CUT], limits={"open": LIMIT}))
    assert one.slow == 0


def test_a_slow_answer_is_put_down_to_the_fault_that_began_last_before_it_was_slow() -> None:
    later = Disturbance("worker_kill", "w1", 20.0, 21.0, 20.0)
    one, two = recoveries(replace(held_up(unlimited(), 9, 15, 18.0), disturbances=[later, CUT]))
    assert (one.fault.kind, one.slow) == ("net_cut", 6)
    assert (two.fault.kind, two.slow) == ("worker_kill", 0)


def test_recovery_is_due_from_the_last_fault_that_came_on_top() -> None:
    on_top = Disturbance("worker_kill", "w1", 16.0, 17.0, 16.0)
    one, two = recoveries(replace(held_up(unlimited(), 9, 13, 18.0), disturbances=[CUT, on_top]))
    assert (one.slow, one.felt_s, one.recovered_s) == (4, 8.0, 2.0)
    assert two.slow == 0


def test_memory_drifts_from_the_second_quarter_to_the_last() -> None:
    samples = [Sample(float(n), {"w0": 100 * 2**20 + (5 * 2**20 if n >= 30 else 0), "w1": 2**20}) for n in range(40)]
    grown, steady = drifts(samples)
    assert (grown.process, grown.early_mib, grown.late_mib) == ("w0", 100.0, 105.0)
    assert round(grown.percent, 6) == 5.0
    assert steady.percent == 0.0
    assert not drifts(samples[:5])


def test_answers_are_counted_by_step_and_only_once() -> None:
    book = well(10)
    counted = answers_over_time(replace(book, ended=[*book.ended, ok(book.asked[name(1)], 9.0)]), 5.0)
    assert counted == {"ok": [(0.0, 1.0), (5.0, 1.0)]}


def test_a_report_is_one_page_without_scripts_and_a_json_with_all_figures(tmp_path: Path) -> None:
    book = replace(held_up(unlimited(), 9, 15, 18.0), disturbances=[CUT], exits=["worker <b>w1</b> ended"])
    samples = [Sample(float(n), {"w0": 100 * 2**20}) for n in range(30)]
    outcome = Outcome(make_schedule(7, 90), book, check(book), recoveries(book), samples, 0.0, 30.0)
    page, data = write_report(outcome, tmp_path)
    text, found = page.read_text(), orjson.loads(data.read_bytes())
    assert "<script" not in text
    assert "http://www.w3.org/2000/svg" in text
    assert text.count("http") == 1
    assert "<b>w1" not in text
    assert "net_cut" in text
    assert found["faults"][0]["recovered_s"] == 4.0
    assert found["memory"][0]["drift_percent"] == 0.0
    assert found["command"] == "python -m tests.cluster --seed 7 --seconds 90"
    assert "BROKEN: 1 ended" in one_line(outcome)
    assert [reached for _, _, reached in bars(outcome)] == [True, False, True, True, True]


def test_memory_is_judged_where_the_run_was_long_enough() -> None:
    samples = [Sample(float(n), {"w0": 100 * 2**20 + 2**18 * n, "c1": 2**20}) for n in range(0, 900, 10)]
    book = well()
    outcome = Outcome(make_schedule(7, 900), book, check(book), [], samples, 0.0, 900.0)
    title, seen, reached = bars(outcome)[-1]
    assert (title, reached) == ("memory, last quarter beside the second", False)
    assert float(seen.split()[0]) > 60
