"""Hooks of MkDocs: decisions in the navigation, links to files beside docs/.

What a hook is: https://www.mkdocs.org/user-guide/configuration/#hooks

A page may link to a file of the repository outside docs/: that is right where it is read beside it. On the site such a link
leads to the repository that DOCS_SOURCE names (a URL to which a path is added); without one the path is shown instead. A link
to a file that is not there fails a strict build.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any, Final

log = logging.getLogger("mkdocs.plugins.site")  # a warning below "mkdocs" fails a strict build

ROOT: Final = Path(__file__).parents[2]
_LINK: Final = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(((?:\.\./)[^)\s]*)\)")


def on_config(config: Any) -> Any:
    """Put every decision into the navigation, in the order of their numbers."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    config.nav.append({"Decisions": [f"decisions/{path.name}" for path in decisions]})
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's text with its links out of docs/ as the site can follow them."""
    return outward(markdown, ROOT / "docs" / page.file.src_uri, os.environ.get("DOCS_SOURCE", ""))


def outward(markdown: str, page: Path, source: str) -> str:
    """Markdown in which links that leave docs/ lead to `source`, or, where that is empty, show the path."""

    def as_followed(found: re.Match[str]) -> str:
        text, target = found.groups()
        name, _, _ = target.partition("#")
        path = (page.parent / name).resolve()
        if path.is_relative_to(ROOT / "docs"):
            return found[0]
        if not path.exists() or not path.is_relative_to(ROOT):
            log.warning("%s: %s leads to no file of the repository", page.relative_to(ROOT), target)
        shown = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else name
        if source:
            return f"[{text}]({source.rstrip('/')}/{shown})"
        return f"`{shown}`" if text.strip("`") in (shown, target, Path(shown).name) else f"{text} (`{shown}`)"

    return _LINK.sub(as_followed, markdown)
