"""What typed and spoken sentences mean."""

from __future__ import annotations

from typing import Any

import pytest

from tests.assistant.assistant_helpers import (
    LONG_TEXTS,
    TooMuchWorkError,
    at_most_lines,
    shipped_sentences,
    shipped_understander,
)
from voiced.assistant.understanding import LONGEST_CHARS, MOST_WORDS
from voiced.assistant.written import spoken_words

# The dearest are 128 times "please": 180,000. A usual sentence takes 3,000.
LINES = 200_000


@pytest.mark.parametrize(
    ("text", "intent", "slots"),
    [
        # spoken
        ("turn on the living room lamp", "LightSwitch",
         {"device": "living room lamp", "state": "on"}),
        ("turn off the lights in the kitchen", "RoomSwitch", {"room": "kitchen", "state": "off"}),
        ("turn off all of the kitchen lights", "RoomSwitch", {"room": "kitchen", "state": "off"}),
        ("turn all the lights off", "AllSwitch", {"all": True, "state": "off"}),
        ("turn the floor lamp in the study on", "LightSwitch",
         {"device": "standing light", "room": "office", "state": "on"}),
        ("set a timer for three hours and ten minutes", "SetTimer", {"hours": 3, "minutes": 10}),
        ("create a timer for five and a half minutes", "SetTimer", {"minutes": 5.5}),
        ("set a timer for an hour and a half", "SetTimer", {"hours": 1.5}),
        ("set a timer for three quarters of an hour", "SetTimer", {"minutes": 45}),
        ("set a five minute timer", "SetTimer", {"minutes": 5}),
        ("cancel the timer", "CancelTimer", {}),
        ("how much time is left on the timer", "TimerStatus", {}),
        ("what is twenty percent of fifty", "Calculate", {"expression": "20 % of 50"}),
        ("what is seven times eight", "Calculate", {"expression": "7 * 8"}),
        ("could you please tell me the time", "GetTime", {}),
        ("what can i say", "Help", {}),
        ("repeat that", "Repeat", {}),
        ("never mind", "Stop", {}),
        ("good morning", "Greeting", {}),
        ("thank you very much", "Thanks", {}),
        # typed
        ("What's 12*7?", "Calculate", {"expression": "12 * 7"}),
        ("what is 12x7", "Calculate", {"expression": "12 * 7"}),
        ("3.5 + 1,000 =", "Calculate", {"expression": "3.5 + 1000"}),
        ("-5 - 3", "Calculate", {"expression": "- 5 - 3"}),
        ("20% of 50", "Calculate", {"expression": "20 % of 50"}),
        ("12 \N{DIVISION SIGN} 4", "Calculate", {"expression": "12 / 4"}),
        ("Set a timer for 5 minutes!", "SetTimer", {"minutes": 5}),
        ("set a timer for 1 hour 5 min", "SetTimer", {"hours": 1, "minutes": 5}),
        ("set a timer for 90s", "SetTimer", {"seconds": 90}),
        ("What\N{RIGHT SINGLE QUOTATION MARK}s the time?", "GetTime", {}),
        ("whats the date", "GetDate", {}),
        ("TURN ON  THE LIVING-ROOM LAMP, PLEASE.", "LightSwitch",
         {"device": "living room lamp", "state": "on"}),
        ("dim the bed light to 30%", "LightBrightness", {"device": "bed light", "brightness": 30}),
        ("set a timer for twenty-five minutes", "SetTimer", {"minutes": 25}),
    ],
)  # fmt: skip
def test_a_sentence_means(text: str, intent: str, slots: dict[str, Any]) -> None:
    meaning = shipped_understander().understand(text)
    assert meaning is not None
    assert (meaning.intent.name, meaning.slots) == (intent, slots)


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "?!", "what is the weather", "turn on the toaster", "what time is",
        "set a timer for 500 minutes", "set the bed light to 101 percent",
        "(2 + 3) * 4", "what is 12345 plus 1", "please", "turn on", "1" * 400, "lamp " * 500,
        "what is \N{SUPERSCRIPT TWO} plus \N{ARABIC-INDIC DIGIT THREE} lamps", "\x00\ud800",
    ],
)  # fmt: skip
def test_anything_else_is_not_understood(text: str) -> None:
    assert shipped_understander().understand(text) is None


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("set a timer for three hours and ten minutes",
         "set a timer for 3 hours and 10 minutes"),
        ("create a timer for five and a half minutes", "create a timer for 5 and a half minutes"),
        ("set a timer for one hour", "set a timer for 1 hour"),
        ("set a timer for an hour", "set a timer for an hour"),
        ("what is one hundred and five times two point five", "what is 105 times 2.5"),
        ("please set bed light to fifty percent", "please set bed light to 50 percent"),
        ("turn on the living room lamp", "turn on the living room lamp"),
    ],
)  # fmt: skip
def test_spoken_words_are_written_with_digits_and_understood_alike(
    words: str, written: str
) -> None:
    spoken = shipped_understander().understand_words(words.split())
    assert spoken is not None
    assert spoken.written == written
    typed = shipped_understander().understand(written)
    assert typed is not None
    assert (typed.intent.name, typed.slots) == (spoken.intent.name, spoken.slots)


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
@pytest.mark.parametrize("chars", [LONGEST_CHARS, 64_000], ids=["allowed", "long"])
def test_looking_at_a_long_text_costs_little(text: str, chars: int) -> None:
    with at_most_lines(LINES):
        assert shipped_understander().understand(text[:chars]) is None


@pytest.mark.parametrize("phrase", ["please", "can you", "one plus", "turn on", "a"])
def test_as_many_words_as_allowed_cost_little(phrase: str) -> None:
    words = (phrase.split() * MOST_WORDS)[:MOST_WORDS]
    with at_most_lines(LINES):
        assert shipped_understander().understand_words(words) is None
    assert shipped_understander().understand_words([*words, "please"]) is None


def test_work_without_a_bound_is_noticed() -> None:
    with pytest.raises(TooMuchWorkError), at_most_lines(LINES):
        spoken_words("1+" * 32_000, shipped_sentences().written)


def test_blanks_do_not_make_a_sentence_long() -> None:
    assert shipped_understander().understand("what  time " + " " * 64_000 + "\n is it") is not None
