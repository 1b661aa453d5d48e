"""eSpeak NG for real: speech comes out, early, of the right length, and stops when told."""

from __future__ import annotations

import shutil
from array import array
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import espeakng_loader
import pytest

from tests.engines.host_helpers import running_host
from voiced.engines.clients import EngineTts
from voiced.engines.ports import WorkCancelled
from voiced.engines.spec import EngineSpec
from voiced.engines.tts.espeak import MAX_TEXT_CHARACTERS, EspeakEngine
from voiced.errors import EngineFailed, ModelError, SettingsError

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable, Iterator, Mapping

SENTENCE = "Turning on the living room lamp."
SPEC = EngineSpec(
    kind="tts",
    name="espeak",
    target="voiced.engines.tts.espeak:EspeakEngine",
    options={"voice": "en-us", "speed": 1.0},
)


class Listener:
    """A `Work` on the spot; cancels itself after `patience` parts."""

    def __init__(self, patience: int = 1_000_000, **params: object) -> None:
        self.op = "speak"
        self.params: Mapping[str, Any] = params
        self.parts: list[bytes] = []
        self.patience = patience

    @property
    def cancelled(self) -> bool:
        return len(self.parts) >= self.patience

    def on_cancel(self, callback: Callable[[], None]) -> None:
        raise AssertionError("not needed: the library asks")

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        self.raise_if_cancelled()
        assert part["sample_rate"] == 22_050
        self.parts.append(part["pcm"])

    asked_anew = False

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("speech takes no audio")

    @property
    def pcm(self) -> bytes:
        return b"".join(self.parts)


@pytest.fixture(scope="module")
def engine() -> EspeakEngine:
    engine = EspeakEngine({"voice": "en-us"})
    engine.load()
    engine.warm_up()
    return engine


def speak(engine: EspeakEngine, text: str, voice: str = "", speed: float = 1.0) -> bytes:
    listener = Listener(text=text, voice=voice, speed=speed)
    engine.run(listener)
    return listener.pcm


def sounds_like(one: bytes, other: bytes) -> bool:
    """Same length and much the same pitch; it is never the same twice, for the breath in it."""
    lengths, crossings = [len(one), len(other)], [zero_crossings(one), zero_crossings(other)]
    return lengths == pytest.approx(lengths[::-1], rel=0.01) and crossings == pytest.approx(
        crossings[::-1], rel=0.05
    )


def zero_crossings(pcm: bytes) -> int:
    return sum((a < 0) != (b < 0) for a, b in pairwise(array("h", pcm)))


def test_a_sentence_is_sound_of_a_sensible_length(engine: EspeakEngine) -> None:
    listener = Listener(text=SENTENCE, voice="", speed=1.0)
    result = engine.run(listener)
    samples = array("h", listener.pcm)
    assert result["duration_s"] == pytest.approx(len(samples) / 22_050)
    assert 1.0 < result["duration_s"] < 4.0
    assert max(samples) > 3000, "loud enough to be heard"


def test_the_first_part_is_short_and_begins_with_sound(engine: EspeakEngine) -> None:
    listener = Listener(text=SENTENCE)
    engine.run(listener)
    assert 0 < len(listener.parts[0]) <= 2 * 22_050 * 60 // 1000 + 2
    assert array("h", listener.parts[0])[0] != 0
    assert max(len(part) for part in listener.parts) <= 2 * 22_050 * 260 // 1000


def test_speed_changes_the_length_and_nothing_else_remembers_it(engine: EspeakEngine) -> None:
    normal = speak(engine, SENTENCE, speed=1.0)
    assert len(speak(engine, SENTENCE, speed=2.0)) < 0.7 * len(normal)
    assert len(speak(engine, SENTENCE, speed=4.0)) < 0.45 * len(normal)
    assert len(speak(engine, SENTENCE, speed=0.25)) > 1.5 * len(normal)
    assert sounds_like(speak(engine, SENTENCE), normal)


def test_voices_differ_and_an_unknown_one_is_the_default(engine: EspeakEngine) -> None:
    default = speak(engine, SENTENCE, voice="en-us")
    assert not sounds_like(speak(engine, SENTENCE, voice="de"), default)
    assert not sounds_like(speak(engine, SENTENCE, voice="EN-US+F3"), default)
    for unknown in ("alloy", "marin", "../../../etc/passwd", "en-us+nobody", ""):
        assert sounds_like(speak(engine, SENTENCE, voice=unknown), default)


def test_speed_holds_across_a_change_of_voice(engine: EspeakEngine) -> None:
    fast = speak(engine, SENTENCE, voice="en-us", speed=2.0)
    speak(engine, SENTENCE, voice="de", speed=2.0)
    assert sounds_like(speak(engine, SENTENCE, voice="en-us", speed=2.0), fast)


@pytest.mark.parametrize(
    "text",
    ["<break time='9s'/>word", "[[h@l'oU]] word", "\x0110A word"],
    ids=["markup", "phonemes", "command"],
)
def test_text_is_text(engine: EspeakEngine, text: str) -> None:
    """Nothing in it is obeyed: the speech after it is as long as without it."""
    plain, spoken = speak(engine, "word"), speak(engine, text)
    assert len(plain) <= len(spoken) < len(plain) + 2 * 22_050 * 5


def test_a_command_would_have_been_obeyed_without_the_guard(engine: EspeakEngine) -> None:
    """The control: given to the library as it is, a command turns the volume down, for all
    that is said after it. With the guard it changes nothing."""
    loudest = 0

    def listen(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
        nonlocal loudest
        loudest = max(loudest, *samples[:count], 0)
        return 0

    def say_raw(text: bytes) -> None:
        engine._library.espeak_Synth(text, len(text), 0, 1, 0, 1, None, None)

    normal = max(array("h", speak(engine, "word")))
    assert max(array("h", speak(engine, "\x0110A word"))) > 0.7 * normal
    callback = type(engine._callback)(listen)
    engine._library.espeak_SetSynthCallback(callback)
    try:
        say_raw(b"\x0110A word\0")
        assert loudest < 0.3 * normal
        say_raw(b"\x01100A word\0")
    finally:
        engine._library.espeak_SetSynthCallback(engine._callback)


@pytest.mark.parametrize("text", ["", "   ", "...", "\0\0", "日本語", "\ud800", "👍" * 50])
def test_odd_texts_are_spoken_or_silent_but_never_an_error(engine: EspeakEngine, text: str) -> None:
    speak(engine, text)
    assert speak(engine, SENTENCE)


def test_a_text_without_end_is_refused(engine: EspeakEngine) -> None:
    with pytest.raises(EngineFailed):
        speak(engine, "a" * (MAX_TEXT_CHARACTERS + 1))


def test_cancelling_stops_it_within_one_buffer_and_the_next_text_is_whole(
    engine: EspeakEngine,
) -> None:
    whole = speak(engine, SENTENCE)
    listener = Listener(patience=2, text=SENTENCE * 50)
    with pytest.raises(WorkCancelled):
        engine.run(listener)
    assert len(listener.parts) == 2
    assert sounds_like(speak(engine, SENTENCE), whole)


def test_the_default_voice_must_exist() -> None:
    with pytest.raises(SettingsError, match=r"tts\.voice"):
        EspeakEngine({"voice": "klingonish"}).load()


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(tmp_path / "none.so"))
    with pytest.raises(ModelError, match=r"none\.so"):
        EspeakEngine({}).load()


async def test_in_its_own_process_it_streams_and_stops_when_its_listener_leaves() -> None:
    async with running_host(SPEC) as host:
        tts = EngineTts(host)
        assert tts.info.sample_rates == (22_050,)
        assert {"en-us", "de"} <= set(tts.info.voices)
        async with tts.speak(SENTENCE * 100) as speech:
            first = await anext(speech)
        assert array("h", first.pcm)[0] != 0
        async with tts.speak(SENTENCE) as speech:
            pcm = b"".join([chunk.pcm async for chunk in speech])
        assert len(pcm) > 22_050
        assert host.restarts == 0


def copy_of_the_package(directory: Path) -> Path:
    package = directory / ("deep" * 40) / "espeakng_loader"
    shutil.copytree(Path(espeakng_loader.__file__).parent, package)
    return package


def loaded_files(pid: int | None) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


async def test_data_under_a_long_path_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library cuts paths at 160 bytes, which a nested virtual environment exceeds."""
    package = copy_of_the_package(tmp_path)
    monkeypatch.syspath_prepend(package.parent)
    async with running_host(SPEC) as host:
        async with EngineTts(host).speak("hola", voice="es") as speech:
            assert (await anext(speech)).pcm
        assert str(package) in loaded_files(host.pid), "it is that copy which is in use"
