"""What is heard of a reply: words, and none of the marks that are for the eye."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.engines.tts.spoken import SpokenText
from voiced.engines.tts.text import ClauseSplitter


def heard(text: str, voice: str = "en-us") -> str:
    return SpokenText(voice, "en").clause(text)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Plain words, as they are.", "Plain words, as they are."),
        ("**Bold**, *slanted*, ~~struck~~ and `code`.", "Bold, slanted, struck and code."),
        ("a **half of a pair", "a half of a pair"),
        ("## A title", "A title"),
        ("- one\n- two\n* three", "one\ntwo\nthree"),
        ("> quoted", "quoted"),
        ("---", ""),
        ("See [the manual](https://a.example/b_c).", "See the manual."),
        ("![a cat](cat.png)", "a cat"),
        ("| lamp | state |\n|---|---|\n| desk | on |", "lamp, state.\ndesk, on."),
        ("<b>loud</b><br>words", "loud words"),
        ("snake_case stays", "snake_case stays"),
        ("_Really._ (_Yes_)", "Really. (Yes)"),
        ("2 < 3 and 3 > 2", "2 less than 3 and 3 more than 2"),
        ("Done! \U0001f600\U0001f44d\U0001f3fd \u2764\ufe0f", "Done!"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", ""),
        ("...", ""),
        ("So it is said.[12] And so [it] is.", "So it is said. And so it is."),
        ("one | two # three", "one two three"),
        ("Open https://www.example.org/a/b?c=d.", "Open example dot org."),
        ("(www.example.org)", "(example dot org)"),
        ("Write to jo.doe@example.org", "Write to jo dot doe at example dot org"),
    ],
)
def test_marks_are_not_read(written: str, said: str) -> None:
    assert heard(written) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("$5", "5 dollars"),
        ("$1", "1 dollar"),
        ("$1,250.50", "1250 dollars and 50 cents"),
        ("\u00a30.99", "99 pence"),
        ("$3.5 million", "3.5 million dollars"),
        ("$2bn", "2 billion dollars"),
        ("20 \u20ac", "20 euros"),
        ("\u00a5300", "300 yen"),
        ("$5-10, or $20\u2013$30M", "5 to 10 dollars, or 20 to 30 million dollars"),
        ("5 km at 20 km/h", "5 kilometers at 20 kilometers per hour"),
        ("5-10 km at 40 MB/s", "5 to 10 kilometers at 40 megabytes per second"),
        ("20-30\u00b0C", "20 to 30 degrees Celsius"),
        ("20\u00b0C-30\u00b0C", "20 degrees Celsius to 30 degrees Celsius"),
        ("from -5\u00b0C to -1\u00b0", "from minus 5 degrees Celsius to minus 1 degree"),
        ("10% - 20%", "10 percent to 20 percent"),
        ("the 1990s, the 80s", "the 19 nineties, the eighties"),
        ("in the late 60s and the 1800s", "in the late sixties and the 18 hundreds"),
        ("the 2000s", "the two thousands"),
        ("a 30s wait", "a 30 seconds wait"),
        ("call 555-1234", "call 5 5 5, 1 2 3 4"),
        ("+1 (555) 123-4567", "plus 1, 5 5 5, 1 2 3, 4 5 6 7"),
        ("2*3 is **6**", "2 times 3 is 6"),
        (">=5", "at least 5"),
        ("1 kg or 2.5kg", "1 kilogram or 2.5 kilograms"),
        ("12 GB in 5 min", "12 gigabytes in 5 minutes"),
        ("100 m\u00b2", "100 square meters"),
        ("50% of it", "50 percent of it"),
        ("-5\u00b0C", "minus 5 degrees Celsius"),
        ("at 90\u00b0.", "at 90 degrees."),
        ("21 \u00b0F", "21 degrees Fahrenheit"),
        ("2026-11-21", "November 21, 20 26"),
        ("12/25/2026", "December 25, 20 26"),
        ("25/12/1905", "December 25, 19 oh 5"),
        ("03/04/2026", "03/04/2026"),
        ("In 1999, or since 2005", "In 19 99, or since 2005"),
        ("by 1900.", "by 19 hundred."),
        ("May 5, 2026", "May 5, 20 26"),
        ("in 1500 m", "in 1500 meters"),
        ("Dr. Smith and Mrs. Jones", "Doctor Smith and Missus Jones"),
        ("St. John vs. J. F. Smith Jr.", "Saint John versus J F Smith Junior."),
        ("the U.S. law", "the U S law"),
        ("No. 5 of vol. 2, Jan. 7", "number 5 of volume 2, January 7"),
        ("No. Never.", "No. Never."),
        ("at 5 p.m. or 6 a.m.", "at 5 PM or 6 AM."),
        ("#1 is < 5 and >= 3", "number 1 is less than 5 and at least 3"),
        ("10^6, 3x", "10 to the power of 6, 3 times"),
        ("2026-13-01", "2026-13-01"),
        ("at 12:00", "at 12 o'clock"),
        ("at 7:05", "at 7 oh 5"),
        ("at 7:30 p.m. today", "at 7 30 PM today"),
        ("5-10 days", "5 to 10 days"),
        ("2020\u20132024", "2020 to 2024"),
        ("5 * 3 = 15", "5 times 3 equals 15"),
        ("1,000,000 people", "1000000 people"),
        ("salt & pepper", "salt and pepper"),
        ("a lamp, e.g. this one", "a lamp, for example this one"),
        ("1,5 km, 0,9 % or 1,1 km", "1.5 kilometers, 0.9 percent or 1.1 kilometers"),
        ("rooms 1,5 and 1,500 m", "rooms 1,5 and 1500 meters"),
        ("\u20ac1.250,50 or 3,50 \u20ac", "1250 euros and 50 cents or 3 euros and 50 cents"),
        ("$3,50 and $3,500", "3 dollars and 50 cents and 3500 dollars"),
        ("5 min. of rest, 5 ft. 3", "5 minutes of rest, 5 feet 3"),
        ("It takes 5 min. Then", "It takes 5 minutes. Then"),
        ("It is 10\u00b0C. The lamp", "It is 10 degrees Celsius. The lamp"),
        ("21 Nov. 2026, see ch. 2", "21 November 20 26, see chapter 2"),
        ("Take cake, etc.", "Take cake, and so on."),
        ("Take e.g. cake", "Take for example cake"),
        ("the U.S.", "the U S."),
    ],
)
def test_english_is_spelled_out(written: str, said: str) -> None:
    assert heard(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "192.168.1.20",
        "version 3.14.1",
        "the A/B test",
        "24/7",
        "MP3 player",
        "10.5",
        "the 1st of May",
        "room 12a",
        "555-1234-99",
        "COVID-19",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert heard(text) == text


def test_other_languages_lose_their_marks_only() -> None:
    assert heard("**5 km** kosten $5", voice="de+f3") == "5 km kosten $5"
    assert heard("5 km", voice="en_GB-alan-low") == "5 kilometers"
    assert heard("5 km", voice="amy-low") == "5 kilometers"
    assert SpokenText("my-own-voice", "de").clause("5 km") == "5 km"
    assert SpokenText("nobody", "en-GB").clause("5 km") == "5 kilometers"


def test_code_is_left_out_over_clauses() -> None:
    spoken = SpokenText("en", "en")
    clauses = ["Run this:\n", "```sh\nrm file\n", "echo done\n```\n", "That is all."]
    assert [spoken.clause(c) for c in clauses] == ["Run this:", "", "", "That is all."]


def test_cost_is_linear_in_what_is_hostile() -> None:
    """Each of these would take minutes with a pattern that tries every way to match."""
    for text in (
        "*" * 20_000,
        "[" * 20_000,
        "1," * 10_000,
        "| " * 10_000,
        "<a " * 7_000,
        "a@" * 9_000,
    ):
        heard(text)


MARKED = st.lists(
    st.sampled_from(
        [
            *("**bold**", "`code`", "[link](https://a.example/x)", "# Title\n", "- item\n"),
            *(
                "\U0001f600",
                "$5",
                "50%",
                "3.5 km",
                "12:30",
                "2026-11-21",
                "Dr. Who",
                "https://b.example",
            ),
            *("plain", "words", ",", ".", "\n", "| a | b |\n", "```\ncode\n```\n", "_so_", "*"),
        ]
    ),
    max_size=30,
)


@given(MARKED)
def test_nothing_for_the_eye_is_left(pieces: list[str]) -> None:
    """Whatever is put together: a voice is given no mark, no address and no symbol."""
    spoken = SpokenText("en-us", "en")
    splitter = ClauseSplitter()
    text = " ".join(pieces)
    said = [spoken.clause(clause) for clause in (*splitter.feed(text), *splitter.flush())]
    for clause in said:
        assert not set(clause) & set("*`#[]|$%\U0001f600"), (text, clause)
        assert "://" not in clause
        assert clause == clause.strip()


@given(st.text(max_size=300))
def test_any_text_has_a_spoken_form(text: str) -> None:
    said = SpokenText("en-us", "en").clause(text)
    assert not said or any(map(str.isalnum, said))
    assert SpokenText("en-us", "en").clause(said) is not None
