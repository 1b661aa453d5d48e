"""What is heard of a reply: words, and none of the marks that are for the eye."""

from __future__ import annotations

import pytest

from voiced.engines.tts.spoken import SpokenText


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
        ("2 < 3 and 3 > 2", "2 < 3 and 3 > 2"),
        ("Done! \U0001f600\U0001f44d\U0001f3fd \u2764\ufe0f", "Done!"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", ""),
        ("...", ""),
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
        ("5 km at 20 km/h", "5 kilometers at 20 kilometers per hour"),
        ("1 kg or 2.5kg", "1 kilogram or 2.5 kilograms"),
        ("12 GB in 5 min", "12 gigabytes in 5 minutes"),
        ("100 m\u00b2", "100 square meters"),
        ("50% of it", "50 percent of it"),
        ("-5\u00b0C", "minus 5 degrees Celsius"),
        ("at 90\u00b0.", "at 90 degrees."),
        ("21 \u00b0F", "21 degrees Fahrenheit"),
        ("2026-11-21", "November 21, 2026"),
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
