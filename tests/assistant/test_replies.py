"""Replies read aloud."""

from __future__ import annotations

import pytest

from voiced.assistant.replies import (
    ReplyError,
    parse_reply,
    spoken_arithmetic,
    spoken_clock,
    spoken_date,
    spoken_duration,
    spoken_number,
)


@pytest.mark.parametrize(
    ("clock", "spoken"),
    [
        ("00:00", "midnight"), ("12:00", "noon"), ("14:00", "two o'clock"),
        ("14:05", "five past two"), ("14:15", "a quarter past two"), ("14:30", "half past two"),
        ("14:31", "twenty nine minutes to three"), ("14:45", "a quarter to three"),
        ("23:59", "one minute to twelve"), ("00:01", "one minute past twelve"),
        ("12:40", "twenty to one"),
    ],
)  # fmt: skip
def test_clock(clock: str, spoken: str) -> None:
    assert spoken_clock(clock) == spoken


@pytest.mark.parametrize(
    ("date", "spoken"),
    [
        ("2026-11-20", "Friday, the twentieth of November"),
        ("2027-01-01", "Friday, the first of January"),
        ("2028-02-29", "Tuesday, the twenty ninth of February"),
        ("2026-05-12", "Tuesday, the twelfth of May"),
        ("2026-12-31", "Thursday, the thirty first of December"),
    ],
)
def test_date(date: str, spoken: str) -> None:
    assert spoken_date(date) == spoken


@pytest.mark.parametrize(
    ("seconds", "spoken"),
    [
        (0, "0 seconds"), (1, "1 second"), (59.2, "1 minute"), (60, "1 minute"),
        (330, "5 minutes and 30 seconds"), (11_400, "3 hours and 10 minutes"),
        (3_661, "1 hour, 1 minute and 1 second"), (86_400, "1 day"),
    ],
)  # fmt: skip
def test_duration(seconds: float, spoken: str) -> None:
    assert spoken_duration(seconds) == spoken


@pytest.mark.parametrize(
    ("number", "spoken"),
    [
        (56, "56"), (56.0, "56"), (2 / 3, "0.667"), (-5, "minus 5"), (-0.0, "0"),
        (0.00001234, "0.000012"), (1e15, "1000000000000000"),
    ],
)  # fmt: skip
def test_number(number: float, spoken: str) -> None:
    assert spoken_number(number) == spoken


def test_arithmetic() -> None:
    assert spoken_arithmetic("- 7 * 8 % of 2 / 3") == ("minus 7 times 8 percent of 2 divided by 3")


@pytest.mark.parametrize("text", ["{no}", "{value|loud}", "{value", "value}"])
def test_a_faulty_reply_is_refused_when_read(text: str) -> None:
    with pytest.raises(ReplyError):
        parse_reply(text, {"value"})


@pytest.mark.parametrize("values", [{}, {"value": "x"}, {"value": None}, {"value": [1]}])
def test_a_reply_without_its_value_says_so(values: dict[str, object]) -> None:
    reply = parse_reply("That is {value|duration}.", {"value"})
    assert reply.fill({"value": 60}) == "That is 1 minute."
    with pytest.raises(ReplyError):
        reply.fill(values)
