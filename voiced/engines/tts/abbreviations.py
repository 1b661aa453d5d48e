"""Abbreviations whose full stop does not end a sentence, or not always. Pure."""

from __future__ import annotations

import re

ALWAYS = frozenset(
    {
        *("mr", "mrs", "ms", "dr", "prof", "rev", "hon", "gen", "col", "capt", "lt", "sgt", "gov"),
        *("sen", "rep", "st", "mt", "ft", "vs", "fig", "approx", "e.g", "i.e", "cf", "viz", "resp"),
        *("dept", "est", "ca", "z.b", "d.h", "u.a", "bzw", "hr", "fr"),
    }
)
"""Something always follows. German ones are among them: its sentences hold English words, and
the other way round."""

SOMETIMES = frozenset(
    {
        *("etc", "inc", "ltd", "co", "corp", "jr", "sr", "a.m", "p.m", "al", "ave", "blvd", "rd"),
        *("u.s", "u.k", "e.u", "d.c", "ph.d", "b.c", "a.d", "usw", "bros", "esq"),
    }
)
"""They end a sentence where a capital letter follows."""

BEFORE_NUMBER = frozenset(
    {
        *("no", "nr", "vol", "p", "pp", "ch", "sec", "art", "op", "ver", "v", "max", "min"),
        *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
    }
)
"""Abbreviations where a number follows, and words or ends otherwise: "No. 5", "No. Never.\""""

_LAST_WORD = re.compile(r"(?<![\w.])(?P<word>[^\W\d_]+(?:\.[^\W\d_]+)*)\.\Z")


def goes_on(before: str, following: str) -> bool | None:
    """Whether the sentence goes on behind the full stop at the end of `before`.

    `following` is the next character that is no white space, "" where there is none yet. None:
    that character will tell.
    """
    found = _LAST_WORD.search(before)
    if found is None:
        return False
    word = found["word"]
    known = word.lower()
    if known in ALWAYS or (len(word) == 1 and word.isupper() and word != "I"):
        return True
    if known in SOMETIMES:
        return not following.isupper() if following else None
    if known in BEFORE_NUMBER:
        return following.isdigit() if following else None
    return False
