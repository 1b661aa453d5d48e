"""Names of voices that clients ask for, and what the engine is asked for instead."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
import structlog.testing

from voiced.engines.ports import EngineInfo, Tts
from voiced.engines.tts.espeak import EspeakEngine
from voiced.engines.tts.voices import NAMES_LOGGED, STAND_INS, Voices
from voiced.settings import Tts as TtsSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.ports import Work


class Engine:
    """As much of a `Tts` as voices look at."""

    def __init__(self, *voices: str, variants: tuple[str, ...] = ()) -> None:
        self.info = EngineInfo(
            kind="tts", name="some", version="1", voices=voices, variants=variants
        )


def voices(engine: Engine, **settings: object) -> Voices:
    return Voices(msgspec.convert(settings, TtsSettings), cast("Tts", engine))


VARIANTS = tuple(f"{kind}{number}" for kind in "fm" for number in range(1, 9))
ESPEAK = Engine("en-us", "en-gb", "de", variants=VARIANTS)


def test_what_the_engine_knows_is_taken_as_it_is() -> None:
    for name in ("en-gb", "de", "EN-US", "de+f3"):
        assert voices(ESPEAK).resolve(name) == name


def test_nothing_is_the_voice_of_the_settings() -> None:
    assert voices(ESPEAK, voice="de+m2").resolve("") == "de+m2"


def test_the_names_of_openai_are_different_voices() -> None:
    found = {name: voices(ESPEAK).resolve(name) for name in STAND_INS}
    assert len(set(found.values())) == len(STAND_INS)
    assert found["alloy"] == "en-us"
    assert found["marin"] == "en-us+f3"
    assert voices(ESPEAK).resolve("Marin") == "en-us+f3"


def test_the_stand_ins_speak_the_language_of_the_settings() -> None:
    assert voices(ESPEAK, voice="de+f1").resolve("echo") == "de+m1"
    assert voices(ESPEAK, voice="de+f1").resolve("alloy") == "de+f1"


def test_the_settings_go_first() -> None:
    chosen = voices(ESPEAK, voices={"marin": "de", "Ash": "+m7", "en-gb": "en-us", "kim": ""})
    assert chosen.resolve("marin") == "de"
    assert chosen.resolve("ash") == "en-us+m7"
    assert chosen.resolve("en-gb") == "en-us"
    assert chosen.resolve("kim") == "en-us"


def test_an_engine_without_variants_lends_the_voices_of_its_language() -> None:
    engine = Engine("de_DE-thorsten", "en_US-amy", "en_US-ryan", "en_GB-alan")
    named = voices(engine, voice="en_US-amy")
    found = {named.resolve(name) for name in STAND_INS}
    assert found == {"en_US-amy", "en_US-ryan", "en_GB-alan"}
    assert named.resolve("alloy") == "en_US-amy"


def test_an_engine_with_one_voice_has_one() -> None:
    named = voices(Engine("amy"), voice="amy")
    assert {named.resolve(name) for name in STAND_INS} == {"amy"}


def test_an_engine_that_declares_no_voices_is_asked_for_what_was_asked_for() -> None:
    assert voices(Engine()).resolve("marin") == "marin"
    assert voices(Engine(), voices={"marin": "x"}).resolve("marin") == "x"


def test_an_unknown_name_is_the_default_and_is_logged_once() -> None:
    named = voices(ESPEAK)
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            assert named.resolve("zoe") == "en-us"
            assert named.resolve("de+nobody") == "en-us"
    assert [line["voice"] for line in logged] == ["zoe", "de+nobody"]


def test_a_client_cannot_fill_the_log() -> None:
    named = voices(ESPEAK)
    with structlog.testing.capture_logs() as logged:
        for number in range(10 * NAMES_LOGGED):
            named.resolve(f"{number}" * 1000)
    assert len(logged) == NAMES_LOGGED
    assert all(len(line["voice"]) <= 64 for line in logged)


# -- the real engine ------------------------------------------------------------------------


class Speaking:
    """A `Work` that keeps what it is given."""

    op = "speak"
    cancelled = False

    def __init__(self, voice: str) -> None:
        self.params: Mapping[str, Any] = {"text": "good morning", "voice": voice, "speed": 1.0}
        self.pcm = b""

    def raise_if_cancelled(self) -> None:
        pass

    def emit(self, part: Mapping[str, Any]) -> None:
        self.pcm += part["pcm"]


@pytest.fixture(scope="module")
def espeak() -> EspeakEngine:
    engine = EspeakEngine({})
    engine.load()
    return engine


def test_espeak_says_each_of_them_in_another_voice(espeak: EspeakEngine) -> None:
    engine = Engine()
    engine.info = espeak.load()
    named = voices(engine)
    sounds = set()
    for name in STAND_INS:
        work = Speaking(named.resolve(name))
        espeak.run(cast("Work", work))
        assert len(work.pcm) > 20_000
        sounds.add(hashlib.sha256(work.pcm).hexdigest())
    assert len(sounds) == len(STAND_INS)
