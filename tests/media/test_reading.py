"""How a long text is read aloud: its paragraphs and sentences, and what is for the eye alone."""

from __future__ import annotations

import pytest

from voiced.media.reading import MOST_CHARACTERS, read_sentences


def read(text: str) -> list[str]:
    """The sentences, those that end a paragraph with a mark behind them."""
    return [f"{s.text}{' |' if s.ends_paragraph else ''}" for s in read_sentences(text)]


CASES = {
    "plain": ("One. Two!\nThree?\n\nFour", ["One.", "Two!", "Three? |", "Four |"]),
    "wrapped lines belong together": (
        "It goes\non and on,\nand ends. So.\n",
        ["It goes on and on, and ends.", "So. |"],
    ),
    "abbreviations and numbers": (
        "Dr. Smith paid 3.5 dollars, e.g. today. Then he left.",
        ["Dr. Smith paid 3.5 dollars, e.g. today.", "Then he left. |"],
    ),
    "titles": (
        "# One\ntext\n## Two ##\nTitle\n=====\nmore\n---\n",
        ["# One |", "text |", "## Two ## |", "Title |", "more |"],
    ),
    "lists": (
        "- one\n  goes on\n- two\n1. three\n2) four\n",
        ["- one goes on |", "- two |", "1. three |", "2) four |"],
    ),
    "tables": ("| a | b |\n|---|:---:|\n| 1 | 2 |\n", ["| a | b | |", "| 1 | 2 | |"]),
    "quotes": ("> Said he,\n> and left.\n", ["Said he, and left. |"]),
    "code": ("Look:\n```python\nx = 1\n\n# y\n```\nDone.\n", ["Look: |", "Done. |"]),
    "code without end": ("Look.\n~~~\nx = 1\n", ["Look. |"]),
    "rules": ("One\n\n***\n\nTwo\n\n- - -\n", ["One |", "Two |"]),
    "comments": ("One <!-- not\nthis --> two. <!-- open", ["One  two.", "<!-- open |"]),
    "front matter": ("---\ntitle: x\ntags: [a]\n---\nText.\n", ["Text. |"]),
    "rule at the beginning": ("---\nText.\n\n---\nMore.", ["Text. |", "More. |"]),
    "targets of links": ("See [it][1].\n\n[1]: https://example.org/a.b\n", ["See [it][1]. |"]),
    "ends of lines of other systems": ("One\r\ntwo.\r\rThree", ["One two. |", "Three |"]),
    "nothing": (" \n\n\t\n", []),
}


@pytest.mark.parametrize("case", CASES)
def test_text_is_read_as_it_is_meant(case: str) -> None:
    text, expected = CASES[case]
    assert [" ".join(one.split()) for one in read(text)] == [
        " ".join(one.split()) for one in expected
    ]


def test_sentence_without_end_is_cut_at_a_pause() -> None:
    sentences = read("so it went on, " * 400)
    assert max(map(len, sentences)) <= MOST_CHARACTERS + 2
    assert all(one.rstrip(" |").endswith(",") for one in sentences)
    assert sum(one.count("went") for one in sentences) == 400


def test_done_tells_how_much_of_the_text_lies_behind() -> None:
    text = "One.\n\n" + "Two is longer. " * 50 + "\n\nThree."
    shares = [sentence.done for sentence in read_sentences(text)]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == pytest.approx(1.0, abs=0.01)
