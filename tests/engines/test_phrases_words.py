"""Pronunciations: from the dictionary, by rule, or a clear error."""

from __future__ import annotations

from pathlib import Path

import pocketsphinx
import pytest

from voiced.engines.stt.phrases_onset import leading_burst
from voiced.engines.stt.phrases_words import find_pronunciations, to_arpabet
from voiced.errors import ModelError

DICTIONARY = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
PHONES = {phone for line in DICTIONARY.read_text().splitlines() for phone in line.split()[1:]}


def test_known_words_have_all_their_pronunciations() -> None:
    found = find_pronunciations({"lamp": "here:1", "the": "here:2"}, DICTIONARY)
    assert found == {"lamp": ["L AE M P"], "the": ["DH AH", "DH IY"]}


def test_a_name_that_no_dictionary_has_is_spoken_by_rule() -> None:
    words = {"zorgblatt": "home.yaml:7", "fnordlampe": "home.yaml:8", "lamp": "en.yaml:1"}
    found = find_pronunciations(words, DICTIONARY)
    assert found["zorgblatt"] == ["Z AO R G B L AE T"]
    for ways in found.values():
        assert {phone for way in ways for phone in way.split()} <= PHONES


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("k\N{LATIN SMALL LETTER OPEN E}\N{MODIFIER LETTER TRIANGULAR COLON}t", "K EH T"),
        ("t\N{LATIN SMALL LETTER ESH}iz", "CH IY Z"),
        ("\N{LATIN LETTER BILABIAL CLICK}a", ""),
    ],
)
def test_phonetic_letters_become_phones(ipa: str, phones: str) -> None:
    assert to_arpabet(ipa) == phones


def test_a_word_that_cannot_be_spoken_is_named_with_its_place() -> None:
    with pytest.raises(ModelError) as error:
        find_pronunciations({"\ue000": "home.yaml:7"}, DICTIONARY)
    assert str(error.value).startswith("home.yaml:7: no pronunciation is known for ")


def test_an_unreadable_dictionary_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.dict: the dictionary cannot be read"):
        find_pronunciations({"lamp": "here:1"}, tmp_path / "gone.dict")


def tone(*levels: tuple[int, float]) -> bytes:
    """Square waves, each of a level and a length in seconds."""
    parts = [
        b"".join(value.to_bytes(2, "little", signed=True) for value in (level, -level))
        * int(8_000 * seconds)
        for level, seconds in levels
    ]
    return b"".join(parts)


def test_a_click_before_speech_is_found() -> None:
    clip = tone((4_000, 0.15), (300, 0.5), (3_000, 0.5))
    assert leading_burst(clip) == pytest.approx(0.15 * 32_000, abs=960)


@pytest.mark.parametrize(
    "clip",
    [
        b"", b"\x00", bytes(64_000),
        tone((300, 0.3), (4_000, 0.5), (300, 0.3)),  # speech after the usual silence
        tone((4_000, 0.2), (300, 0.06), (3_000, 0.5)),  # words from the very start
        tone((4_000, 0.25), (100, 1.0)),  # one word, and nothing else
    ],
)  # fmt: skip
def test_speech_is_not_taken_for_a_click(clip: bytes) -> None:
    assert leading_burst(clip) == 0
