"""Pictures of the pages of a running control room: `python -m ops.ui.screenshots http://127.0.0.1:4001 docs/img`.

Start `headrace demo --ui` first, and give it a minute, so that there is something to see. Needs playwright (the dev group) and a
Chromium of the system's.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

PAGES: Final = {
    "overview": "/",
    "queues": "/queues",
    "requests": "/requests?since=15m",
    "dead-letters": "/dead-letters",
    "providers": "/providers",
    "scaling": "/scaling",
}
_SIZE: Final = {"width": 1280, "height": 860}
_DRAWN_MS: Final = 800


def take(url: str, folder: Path) -> list[Path]:
    """A picture of each page and of one request, light and dark; their files. Raises LookupError without a Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise LookupError("no Chromium here: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[Path] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport=_SIZE, color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(f"{url}/requests?status=ok")
            one = page.locator("table.requests tbody a").first.get_attribute("href")
            for name, path in {**PAGES, "request": one}.items():
                page.goto(f"{url}{path}")
                page.wait_for_timeout(_DRAWN_MS)
                taken.append(folder / f"room-{name}-{scheme}.png")
                page.screenshot(path=taken[-1])
            page.close()
        browser.close()
    return taken


if __name__ == "__main__":
    for file in take(sys.argv[1].rstrip("/"), Path(sys.argv[2])):
        sys.stdout.write(f"{file}\n")
