"""How words are spoken: from pocketsphinx's dictionary, else from eSpeak NG's rules.

Phones are those of the acoustic model: ARPABET without stress.
"""

# ruff: noqa: RUF001 - phonetic letters look like others

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

# espeak-ng/speak_lib.h
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PHONEMES_IPA = 0x02
_VOICE = b"en-us"

# What eSpeak's American English writes in IPA, longest first where one begins another.
_ARPABET: Mapping[str, str] = {
    "aɪɚ": "AY ER", "aɪə": "AY AH", "aʊɚ": "AW ER",
    "tʃ": "CH", "dʒ": "JH", "aɪ": "AY", "aʊ": "AW", "eɪ": "EY", "oʊ": "OW", "ɔɪ": "OY",
    "əl": "AH L", "ən": "AH N", "ɪɹ": "IH R", "ɛɹ": "EH R", "ʊɹ": "UH R", "ɔːɹ": "AO R",
    "oːɹ": "AO R", "ɑːɹ": "AA R", "ɑ̃": "AA N", "iə": "IY AH",
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G", "f": "F", "v": "V",
    "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "m": "M",
    "n": "N", "ŋ": "NG", "l": "L", "ɫ": "L", "ɹ": "R", "r": "R", "w": "W", "j": "Y",
    "ɾ": "D", "ʔ": "T", "x": "K", "ç": "HH", "ɬ": "L",
    "i": "IY", "ɪ": "IH", "ᵻ": "IH", "e": "EY", "ɛ": "EH", "æ": "AE", "a": "AA", "ɑ": "AA",
    "ɒ": "AA", "ɔ": "AO", "o": "OW", "ʊ": "UH", "u": "UW", "ʌ": "AH", "ə": "AH", "ɐ": "AH",
    "ɜ": "ER", "ɚ": "ER", "y": "UW", "ø": "ER", "œ": "ER",
}  # fmt: skip
_MARKS = frozenset("ˈˌːˑ̩̃͡ ‍-_")  # stress, length, ties
_R_COLOURED = ("ER", "IH R", "EH R", "UH R", "AO R", "AA R")


def find_pronunciations(words: Mapping[str, str], dictionary: Path) -> dict[str, list[str]]:
    """The pronunciations of each word, as phones with blanks between them.

    `words` maps each word to the place it comes from (`file:line`). Raises `ModelError` with
    word and place for one that has no known pronunciation, and for an unreadable dictionary.
    """
    found = _look_up(words.keys(), dictionary)
    missing = [word for word in words if word not in found]
    if missing:
        for word, phones in zip(missing, _spell_by_rule(missing), strict=True):
            if not phones:
                raise ModelError(f"{words[word]}: no pronunciation is known for {word!r}")
            found[word] = [phones]
    return found


def to_arpabet(ipa: str) -> str:
    """eSpeak's IPA as ARPABET phones; empty where a sound is not known."""
    phones: list[str] = []
    position = 0
    longest = max(map(len, _ARPABET))
    while position < len(ipa):
        for length in range(longest, 0, -1):
            piece = ipa[position : position + length]
            if piece in _ARPABET:
                phones.append(_ARPABET[piece])
                position += length
                break
        else:
            if ipa[position] not in _MARKS:
                return ""
            position += 1
    return _without_doubled_r(phones)


def _without_doubled_r(phones: list[str]) -> str:
    kept: list[str] = []
    for phone in phones:
        if not (phone == "R" and kept and kept[-1] in _R_COLOURED):
            kept.append(phone)
    return " ".join(kept)


def _look_up(words: Collection[str], dictionary: Path) -> dict[str, list[str]]:
    """Scan the dictionary once; it has 134,000 lines, of which few are needed."""
    found: dict[str, list[str]] = {}
    try:
        with dictionary.open(encoding="utf-8") as lines:
            for line in lines:
                word, _, phones = line.partition(" ")
                base = word.partition("(")[0]
                if base in words:
                    found.setdefault(base, []).append(phones.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{dictionary}: the dictionary cannot be read: {error}") from error
    return found


def _spell_by_rule(words: list[str]) -> list[str]:
    import espeakng_loader  # not imported where the dictionary has every word

    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        path = str(espeakng_loader.get_data_path()).encode()
    except OSError as error:
        raise ModelError(f"eSpeak NG cannot be loaded: {error}") from error
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = (
        ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int
    )  # fmt: skip
    if library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, path, _INITIALIZE_DONT_EXIT) < 0:
        raise ModelError(f"eSpeak NG cannot be started with its data in {path.decode()}")
    try:
        if library.espeak_SetVoiceByName(_VOICE) != 0:
            raise ModelError(f"eSpeak NG has no voice {_VOICE.decode()}")
        spoken: list[str] = []
        for word in words:
            text = ctypes.create_string_buffer(word.encode())
            rest = ctypes.c_void_p(ctypes.addressof(text))
            ipa = library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, _PHONEMES_IPA)
            spoken.append(to_arpabet((ipa or b"").decode()))
        return spoken
    finally:
        library.espeak_Terminate()
