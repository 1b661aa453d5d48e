"""What listeners say while they go on listening: "uh-huh", "okay". By language."""

from __future__ import annotations

import re

MOST_WORDS = 3
"""More of them in a row are somebody who wants to speak."""

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")

WORDS = {
    "en": frozenset(
        (
            *("uh-huh", "uhhuh", "huh", "uh", "mm-hmm", "mhm", "mm", "mmm", "hmm", "hm", "aha"),
            *("ah", "oh", "yeah", "yes", "yep", "yup", "okay", "ok", "right", "sure", "i", "see"),
            *("good", "great", "nice", "fine", "cool", "wow", "really", "exactly", "indeed"),
        )
    )
}


def is_backchannel(text: str, language: str) -> bool:
    """Whether the words only say "I am listening". In a language without a list, none do."""
    known = WORDS.get(language.partition("-")[0].partition("_")[0].lower(), frozenset())
    words = WORD.findall(text.lower())
    return 0 < len(words) <= MOST_WORDS and all(word in known for word in words)
