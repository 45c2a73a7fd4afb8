"""Parts of pages that are written from the code, between two marks, so that a page cannot say anything else."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def filled(page: str, name: str, content: str) -> str:
    """The page with `content` between its marks of that name.

    Raises:
        ValueError: The page has no such marks.
    """
    begin, end = f"<!-- {name}: written by `python -m tools.document` -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no marks of {name}: write {begin!r} and {end!r} where it shall be")
    return f"{before}{begin}\n{content.strip()}\n\n{end}{after}"
