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
        *("no", "nr", "vol", "p", "pp", "ch", "art", "op", "ver", "v"),
    }
)
"""Abbreviations where a number follows, and words or ends otherwise: "No. 5", "No. Never.\""""

BEFORE_SMALL = frozenset(
    {
        *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
        *("mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat", "sun"),
        *("max", "min", "sec", "hrs", "in", "oz", "lb", "lbs", "tbsp", "tsp", "mi"),
    }
)
"""The same where a number or a small letter follows: "5 min. of rest", "Sat. and Sun."."""

IN_TWO = {"z": "B", "d": "h", "u": "a"}
"""German ones with a blank in them, by what follows that: "z. B."."""
_OF_TWO = re.compile(r"(?<![\w.])(?:z\. B|d\. h|u\. a)\.\Z")

GERMAN_MONTHS = (
    *("Januar", "Februar", "M\u00e4rz", "April", "Mai", "Juni", "Juli", "August", "September"),
    *("Oktober", "November", "Dezember"),
)
_DAY = re.compile(r"(?<![\w.,])\d{1,2}\.\Z")
_UNIT = re.compile(r"[\d\u00b0]\s?[A-Z]\.\Z")
"""A letter that is a unit, and no initial: "60 W.", "10 \u00b0C."."""

_LAST_WORD = re.compile(r"(?<![\w.])(?P<word>[^\W\d_]+(?:\.[^\W\d_]+)*)\.\Z")


def goes_on(before: str, following: str) -> bool | None:
    """Whether the sentence goes on behind the full stop at the end of `before`.

    `following` is what comes next, from the first character on that is no white space, as far as
    it is there. None: more of that will tell.
    """
    if _DAY.search(before):
        return is_month(following)
    if _OF_TWO.search(before):
        return True
    found = _LAST_WORD.search(before)
    if found is None or _UNIT.search(before):
        return False
    following = following[:1]
    word = found["word"]
    known = word.lower()
    if known in ALWAYS or (len(word) == 1 and word.isupper() and word != "I"):
        return True
    if known in SOMETIMES:
        return not following.isupper() if following else None
    if known in BEFORE_NUMBER:
        return following.isdigit() if following else None
    if known in BEFORE_SMALL:
        return following.isdigit() or following.islower() if following else None
    if word in IN_TWO:
        return following == IN_TWO[word] if following else None
    return False


def is_month(following: str) -> bool | None:
    """Whether the number before that was the day of a German date: "5. Mai"."""
    if following.startswith(GERMAN_MONTHS):
        return True
    begun = any(month.startswith(following) for month in GERMAN_MONTHS)
    return None if begun else False
