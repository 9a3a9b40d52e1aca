"""Pages made of sections, so that what was not measured again can stay as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def of(text: str) -> dict[str, str]:
    """Return the sections of a page by their headings (``##``), without what stands before the first."""
    return {part.partition("\n")[0]: f"## {part.strip()}\n" for part in f"\n{text}".split("\n## ")[1:]}


def write(page: Path, head: str, titles: Iterable[str], made: str, end: str = "") -> None:
    """Write a page: `head`, sections in the order of `titles`, and `end`.

    Parameters
    ----------
    page
        Where to; of sections that were not made, those that stand there stay.
    head, end
        What stands before and after them.
    titles
        Their headings; those of which there is no section are left out.
    made
        Sections, one after the other.
    """
    before = of(page.read_text(encoding="utf-8")) if page.is_file() else {}
    now = before | of(made)
    parts = [head, *(now[title] for title in titles if title in now), end]
    page.write_text("\n".join(part for part in parts if part), encoding="utf-8")
