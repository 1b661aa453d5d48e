"""Writes the tables of metrics in docs/operations.md, from what the metrics say of themselves.

`python -m voiced.readings.reference docs/operations.md` does it; a test fails where that was
forgotten.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voiced.readings import CHAPTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN: Final = "<!-- metrics: written by python -m voiced.readings.reference -->"
END: Final = "<!-- end of metrics -->"


def lines() -> Iterator[str]:
    """The tables, chapter by chapter."""
    for chapter, families in CHAPTERS.items():
        yield f"**{chapter}**"
        yield ""
        yield "| metric | kind | labels | meaning |"
        yield "| --- | --- | --- | --- |"
        for family in families:
            labels = ", ".join(f"`{label}`" for label in family.labels)
            yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"
        yield ""


def rewritten(page: str) -> str:
    """`page` with the tables as they are now. Raises `ValueError` where it has no place for any."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs {BEGIN} and {END}")
    return "\n".join([f"{before}{BEGIN}", "", *lines(), f"{END}{after}"])


def main() -> None:
    """Rewrite the page that is named."""
    path = Path(sys.argv[1])
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
