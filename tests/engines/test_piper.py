"""Piper for real on voices made on the spot: sound, speed, speakers, cancelling, bad files."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnxruntime
import psutil
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.host_helpers import running_host
from tests.models.piper_true_shape import write_true_shape
from tests.models.piper_voice import HOP, RATE, write_voice
from tests.patience import CEILING_S
from voiced.engines.clients import EngineTts
from voiced.engines.ports import WorkCancelled
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.engines.tts import piper_shelf
from voiced.engines.tts.piper import PiperEngine
from voiced.engines.tts.piper_shelf import VoiceShelf
from voiced.engines.tts.piper_voices import (
    MOST_PHONEMES,
    LoadedVoice,
    VoiceFile,
    new_run,
    parts_of,
)
from voiced.engines.tts.voices import Voices
from voiced.errors import ModelError, SettingsError
from voiced.settings import Tts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from voiced.engines.ports import Tts as TtsPort

TEXT = "The lamp in the kitchen is on."
TWO_SENTENCES = "The lamp is on. The door is open."


class Listener:
    """A `Work` on the spot, cancelled by `cancel` from whatever thread."""

    op = "speak"
    asked_anew = False

    def __init__(self, **params: object) -> None:
        self.params: Mapping[str, Any] = params
        self.parts: list[bytes] = []
        self.emitted = 0
        self.cancelled = False
        self.hooked = threading.Event()
        self._hooks: list[Callable[[], None]] = []

    def on_cancel(self, callback: Callable[[], None]) -> None:
        self._hooks.append(callback)
        self.hooked.set()

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        self.emitted += 1
        self.raise_if_cancelled()
        assert part["sample_rate"] == RATE
        self.parts.append(part["pcm"])

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("speech takes no audio")

    def cancel(self) -> None:
        self.cancelled = True
        for hook in self._hooks:
            hook()

    @property
    def samples(self) -> np.ndarray[Any, np.dtype[np.int16]]:
        return np.frombuffer(b"".join(self.parts), "<i2")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_voice(folder, "plain")
    write_voice(folder, "choir", speakers=("anna", "bert"))
    return folder


def loaded(models: Path, voice: str = "plain", **own: object) -> PiperEngine:
    engine = PiperEngine({"voice": voice, "models_directory": str(models), "options": own})
    engine.load()
    engine.warm_up()
    return engine


def speak(engine: PiperEngine, text: str = TEXT, voice: str = "", speed: float = 1.0) -> Listener:
    listener = Listener(text=text, voice=voice, speed=speed)
    result = engine.run(listener)
    assert result["duration_s"] == pytest.approx(len(listener.samples) / RATE)
    return listener


def pitch(listener: Listener) -> float:
    """Upward crossings of zero in a second: how high the tones are on the whole."""
    signs = np.signbit(listener.samples)
    rising = np.count_nonzero(signs[:-1] & ~signs[1:])
    return float(rising) * RATE / len(signs)


def test_info_names_voices_and_speakers(models: Path) -> None:
    info = PiperEngine({"voice": "choir+bert", "models_directory": str(models)}).load()
    assert info.voices == ("choir", "choir+anna", "choir+bert", "plain")
    assert (info.name, info.model, info.sample_rates) == ("piper", "choir+bert", (RATE,))
    assert info.languages == ("en-us",)


def test_speech_is_as_long_as_its_phonemes_and_loud(models: Path) -> None:
    heard = speak(loaded(models)).samples
    phonemes = len(heard) / HOP
    assert phonemes == int(phonemes)
    assert 2 * 20 < phonemes < 2 * 60  # a pad after each of about thirty phonemes
    assert 30_000 < np.abs(heard).max() <= 32_767


def test_parts_are_short_enough_to_be_cut_between(models: Path) -> None:
    parts = speak(loaded(models)).parts
    assert len(parts) > 1
    assert all(len(part) <= RATE // 5 * 2 for part in parts)


def test_twice_the_speed_is_half_the_time(models: Path) -> None:
    engine = loaded(models)
    normal, fast = speak(engine), speak(engine, speed=2.0)
    assert len(fast.samples) == pytest.approx(len(normal.samples) / 2, rel=0.02)


def test_speakers_sound_different_and_the_default_is_the_first(models: Path) -> None:
    engine = loaded(models, "choir")
    first, anna, bert = (speak(engine, voice=name) for name in ("", "choir+anna", "choir+bert"))
    assert pitch(first) == pytest.approx(pitch(anna), rel=0.01)
    assert pitch(bert) == pytest.approx(pitch(anna) * 1.1, rel=0.03)


def test_names_of_voices_have_no_case_and_speakers_have_numbers(models: Path) -> None:
    engine = loaded(models, "Choir+ANNA")
    bert = pitch(speak(engine, voice="choir+bert"))
    for name in ("CHOIR+Bert", "choir+1"):
        assert pitch(speak(engine, voice=name)) == pytest.approx(bert, rel=0.01)
    with pytest.raises(ModelError, match=r"no Piper voice 'choir\+2' in .* \(there: .*choir"):
        loaded(models, "choir+2")


def test_clients_may_ask_for_a_voice_and_a_speaker_by_name(models: Path) -> None:
    class Engine:
        info = PiperEngine({"voice": "plain", "models_directory": str(models)}).load()

    voices = Voices(Tts(engine="piper", voice="plain"), cast("TtsPort", Engine()))
    for name in ("choir", "choir+bert", "Choir+Bert"):
        assert voices.resolve(name) == name
    assert voices.resolve("choir+nobody") == "plain"


def test_an_unknown_voice_is_the_default_one(models: Path) -> None:
    engine = loaded(models, "choir+bert")
    assert pitch(speak(engine, voice="alloy")) == pytest.approx(
        pitch(speak(engine, voice="choir+bert")), rel=0.01
    )


def test_marks_of_raw_phonemes_are_text(models: Path) -> None:
    engine = loaded(models)
    # As phonemes this would be one sound; as text it is the names of letters.
    assert len(speak(engine, "[[a]]").samples) > 0
    assert len(speak(engine, "x [[ y").samples) > 0


def test_text_without_sound_is_no_audio(models: Path) -> None:
    assert len(speak(loaded(models), "…").samples) < RATE


def test_a_path_is_a_voice(models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = write_voice(elsewhere, "mine")
    assert len(speak(loaded(models, str(path))).samples) > 0


# -- cancelling --------------------------------------------------------------------------------


def cancel_while_running(engine: PiperEngine, listener: Listener) -> bool:
    """Cancel once the run has begun; whether the engine said so."""
    outcome: list[bool] = []

    def work() -> None:
        try:
            engine.run(listener)
            outcome.append(False)
        except WorkCancelled:
            outcome.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    assert listener.hooked.wait(CEILING_S)
    listener.cancel()
    thread.join(CEILING_S)
    assert not thread.is_alive()
    return outcome == [True]


def test_cancel_ends_a_run_in_the_middle_and_the_engine_speaks_again(models: Path) -> None:
    write_voice(models, "slow", rounds=200)
    engine = loaded(models, "slow")
    listener = Listener(text=TEXT, voice="slow", speed=1.0)
    assert cancel_while_running(engine, listener)
    assert listener.emitted == 0
    assert len(speak(engine, voice="slow").samples) > 0


def test_without_the_hook_a_cancel_waits_for_the_whole_run(models: Path) -> None:
    """The control of the test above."""

    class Deaf(Listener):
        def on_cancel(self, callback: Callable[[], None]) -> None:
            self.hooked.set()

    write_voice(models, "slow", rounds=200)
    listener = Deaf(text=TEXT, voice="slow", speed=1.0)
    assert cancel_while_running(loaded(models, "slow"), listener)
    assert listener.emitted == 1  # the network ran to its end, and only then was it noticed


async def test_leaving_the_context_stops_the_child_which_serves_the_next(models: Path) -> None:
    write_voice(models, "slow", rounds=1_000)
    spec = EngineSpec(
        kind="tts",
        name="piper",
        target="voiced.engines.tts.piper:PiperEngine",
        options={"voice": "plain", "models_directory": str(models)},
    )
    async with running_host(spec, HostPolicy(grace_s=20.0)) as host:
        tts = EngineTts(host)
        pid = host.pid
        async with tts.speak(TWO_SENTENCES, voice="slow") as chunks:
            with trio.move_on_after(0.2):
                async for _ in chunks:
                    break
        heard = 0
        async with tts.speak(TEXT, voice="plain") as chunks:
            async for chunk in chunks:
                heard += len(chunk.pcm)
        assert heard > 0
        assert host.pid == pid  # not killed and started again


class SlowDisk:
    """Holds up the loading of voices until told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.released = threading.Event(), threading.Event()
        load = LoadedVoice.__init__

        def slowly(voice: LoadedVoice, file: VoiceFile, threads: int) -> None:
            self.begun.set()
            assert self.released.wait(CEILING_S)
            load(voice, file, threads)

        monkeypatch.setattr(LoadedVoice, "__init__", slowly)


def test_a_cancel_does_not_wait_for_a_voice_that_loads(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(models)
    disk = SlowDisk(monkeypatch)
    listener = Listener(text=TEXT, voice="choir", speed=1.0)
    assert cancel_while_running(engine, listener)  # it came back, and nothing is loaded yet
    assert disk.begun.wait(CEILING_S)
    assert len(speak(engine).samples) > 0  # another voice speaks meanwhile
    disk.released.set()
    assert pitch(speak(engine, voice="choir+bert")) > 0
    assert engine._shelf.loaded == ("plain", "choir")


def test_the_longest_run_ever_does_not_keep_its_memory(tmp_path: Path) -> None:
    voice = LoadedVoice(VoiceFile(write_voice(tmp_path, "voice")), threads=1)
    ids = [5, 6, 7, 8] * 10_000  # some 40 MB of samples, several times over while it runs

    def kept_bytes(run: onnxruntime.RunOptions) -> int:
        before = psutil.Process().memory_full_info().uss
        voice.speak(ids, speed=1.0, speaker=None, run=run)
        return psutil.Process().memory_full_info().uss - before

    voice.speak(ids[:40], speed=1.0, speaker=None, run=new_run())
    ours = kept_bytes(new_run())
    control = kept_bytes(onnxruntime.RunOptions())  # beyond what ours has left
    assert control > 100 << 20
    assert ours < control / 2
    assert kept_bytes(new_run()) < -control / 2  # and what another run has kept is given back


def test_who_waits_for_a_voice_gets_it(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = loaded(models)
    disk = SlowDisk(monkeypatch)
    timer = threading.Timer(0.05, disk.released.set)
    timer.start()
    assert len(speak(engine, voice="choir").samples) > 0
    timer.join()


# -- the budget --------------------------------------------------------------------------------


def shelf_for(models: Path, voices: int) -> VoiceShelf:
    room = VoiceFile(models / "plain.onnx").memory_bytes * voices
    shelf = VoiceShelf(models, threads=1, memory_bytes=room + 2_000)
    shelf.find()
    return shelf


def test_the_voice_used_longest_ago_gives_way(models: Path) -> None:
    write_voice(models, "third")
    shelf = shelf_for(models, 2)
    for name in ("plain", "third", "plain"):
        shelf.take(name)
    assert list(shelf.loaded) == ["third", "plain"]
    shelf.take("choir")
    assert list(shelf.loaded)[-1] == "choir"
    assert "third" not in shelf.loaded


def test_a_voice_beyond_the_budget_is_refused_by_name(models: Path) -> None:
    shelf = VoiceShelf(models, threads=1, memory_bytes=1)
    shelf.find()
    with pytest.raises(
        ModelError, match=r"plain\.onnx needs about 1 MiB, and tts\.options\.memory_mb"
    ):
        shelf.take("plain")


def test_a_voice_too_large_for_the_memory_that_is_free_is_not_begun(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piper_shelf, "free_memory", lambda: 1000)
    with pytest.raises(ModelError, match=r"\.onnx needs about \d+ MiB .* 0 MiB are free"):
        loaded(models)


def test_after_a_loud_clause_a_quiet_one_stays_quieter(models: Path) -> None:
    """Each made as loud as it can be, a whisper would shout; and yet the loud one is forgotten."""
    voice = LoadedVoice(VoiceFile(models / "plain.onnx"), threads=1)
    loud, quiet = np.ones(100, np.float32), np.full(100, 0.1, np.float32)
    full = int(voice._to_pcm(loud).max())
    after = [int(voice._to_pcm(quiet).max()) for _ in range(200)]
    assert after[0] < full / 5
    assert after == sorted(after)
    assert after[-1] == full
    assert not voice._to_pcm(np.zeros(10, np.float32)).any()


def test_a_voice_says_which_of_its_speakers_is_the_usual_one(tmp_path: Path) -> None:
    path = write_voice(tmp_path, "choir", speakers=("anna", "bert"))
    described = path.with_name(path.name + ".json")
    config = json.loads(described.read_text("utf-8"))
    described.write_text(json.dumps({**config, "default_speaker_id": 1}), "utf-8")
    engine = loaded(tmp_path, "choir")
    assert pitch(speak(engine)) == pitch(speak(engine, voice="choir+bert"))
    assert pitch(speak(engine)) > pitch(speak(engine, voice="choir+anna"))


def test_a_voice_of_letters_says_capitals_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_voice(tmp_path, "letters")
    described = path.with_name(path.name + ".json")
    config = json.loads(described.read_text("utf-8"))
    config["phoneme_id_map"] = {
        "^": [1],
        "$": [2],
        "_": [0],
        " ": [3],
        **{letter: [10 + number] for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz")},
    }
    config["phoneme_type"] = "text"
    for key in ("espeak", "num_symbols", "num_speakers"):
        del config[key]
    described.write_text(json.dumps(config), "utf-8")
    engine = PiperEngine({"voice": "letters", "models_directory": str(tmp_path)})
    engine.load()
    voice = engine._shelf.take("letters")
    assert voice.sentences("Hello World") == voice.sentences("hello world")
    assert voice.sentences("hello \U0001f642")[0][:-2] == voice.sentences("hello ")[0][:-2]
    assert not caplog.records  # of what is said


def test_a_long_text_without_a_full_stop_is_spoken_in_bounded_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = loaded(models)
    runs: list[int] = []
    speak_ids = LoadedVoice.speak

    def count(voice: LoadedVoice, ids: list[int], **more: Any) -> Any:  # noqa: ANN401 - passed on
        runs.append(len(ids))
        return speak_ids(voice, ids, **more)

    monkeypatch.setattr(LoadedVoice, "speak", count)
    speak(engine, "the lamp in the kitchen " * 100)
    assert len(runs) > 2
    assert max(runs) <= 2 * MOST_PHONEMES + 8  # a pad after each, and what begins and ends a run


@given(st.lists(st.sampled_from("ab ,.ə"), max_size=3 * MOST_PHONEMES))
def test_runs_add_up_to_the_sentence_and_break_at_pauses(phonemes: list[str]) -> None:
    parts = parts_of(phonemes)
    assert [phoneme for part in parts for phoneme in part] == phonemes
    assert all(0 < len(part) <= MOST_PHONEMES for part in parts)
    for part in parts[:-1]:
        assert part[-1] in ",." or not {",", "."} & set(part)
        assert part[-1] in ",. " or not {",", ".", " "} & set(part)


# -- what is wrong is said ---------------------------------------------------------------------


def refusal(voice: str, models: Path) -> str:
    with pytest.raises(ModelError) as caught:
        loaded(models, voice)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_voice_that_is_not_there(models: Path) -> None:
    said = refusal("en_GB-alan-low", models)
    assert str(models) in said
    assert "choir" in said


def test_a_voice_without_its_json(models: Path) -> None:
    (models / "plain.onnx.json").unlink()
    assert "has plain.onnx without plain.onnx.json" in refusal("plain", models)
    assert "no plain.onnx.json beside it" in refusal(str(models / "plain.onnx"), models)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"num_symbols": 1}', '"\\ud800"'])
def test_json_that_is_no_voice(models: Path, content: str) -> None:
    (models / "plain.onnx.json").write_text(content)
    assert "plain.onnx.json does not describe" in refusal("plain", models)


def test_a_model_cut_off(models: Path) -> None:
    path = models / "plain.onnx"
    path.write_bytes(path.read_bytes()[:700])
    said = refusal("plain", models)
    assert str(path) in said
    assert "download it again" in said


def test_a_model_of_another_kind(models: Path) -> None:
    """Its JSON speaks of several speakers, the network knows of none."""
    described = models / "plain.onnx.json"
    config = json.loads(described.read_text())
    described.write_text(json.dumps({**config, "num_speakers": 2}))
    assert "is no Piper voice, or not the one" in refusal("plain", models)


def test_a_voice_that_needs_another_phonemizer(models: Path) -> None:
    described = models / "plain.onnx.json"
    config = json.loads(described.read_text())
    described.write_text(json.dumps({**config, "phoneme_type": "pinyin"}))
    assert "written in pinyin" in refusal("plain", models)


def test_a_voice_that_proves_damaged_is_the_default_one(
    models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = models / "choir.onnx"
    path.write_bytes(path.read_bytes()[:700])
    engine = loaded(models)
    for _ in range(2):
        assert len(speak(engine, voice="choir+bert").samples) == len(speak(engine).samples)
    assert str(path) in capfd.readouterr().err


def test_no_path_is_told_to_a_client(models: Path) -> None:
    """The default voice has given way to another one, and is damaged when it is wanted again."""
    engine = loaded(models)
    path = models / "plain.onnx"
    path.write_bytes(b"")
    del engine._shelf._loaded["plain"]
    with pytest.raises(ModelError) as caught:
        speak(engine)
    assert str(path) in str(caught.value)
    assert caught.value.public == "The voice cannot be loaded."


def test_a_damaged_neighbour_does_not_keep_the_others_from_speaking(models: Path) -> None:
    (models / "choir.onnx.json").write_text("{")
    assert len(speak(loaded(models)).samples) > 0


AGAIN = "; download it again"


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        (
            "plain.onnx",
            b"",
            "damaged, or no ONNX model (No graph was found in the protobuf)" + AGAIN,
        ),
        ("plain.onnx", b"GGUF", "damaged, or no ONNX model (Protobuf parsing failed)" + AGAIN),
        ("plain.onnx", None, "; `voiced models list` shows those that there are"),
        ("plain.onnx.json", b"{", "does not describe a Piper voice (Expecting property name"),
        ("plain.onnx.json", b"{}", "describe a Piper voice ('phoneme_id_map' is missing)" + AGAIN),
        (
            "plain.onnx.json",
            None,
            "plain.onnx has no plain.onnx.json beside it; download both files",
        ),
    ],
)
def test_a_voice_that_cannot_be_loaded_is_told_in_one_line(
    models: Path, file: str, data: bytes | None, said: str
) -> None:
    path = models / file
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        loaded(models, str(models / "plain.onnx"))
    told = str(caught.value)
    assert said in told
    assert str(models / "plain.onnx") in told
    assert "\n" not in told
    assert "ONNXRuntimeError" not in told


def test_another_voice_than_those_there_is_told_what_to_do(models: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"there: choir, .*plain\); name one of these, or the path"
    ):
        loaded(models, "en-us")
    (tmp_path / "none").mkdir()
    with pytest.raises(
        ModelError, match=r"there: none\); a path may be named; `voiced models add`"
    ):
        loaded(tmp_path / "none", "en-us")


@pytest.mark.parametrize(
    ("own", "word"),
    [({"thread": 2}, "thread"), ({"threads": 0}, "threads"), ({"memory_mb": "1"}, "memory_mb")],
)
def test_options_that_are_wrong(own: dict[str, object], word: str) -> None:
    with pytest.raises(SettingsError, match=rf"tts\.options\.{word}:"):
        PiperEngine({"voice": "plain", "options": own})


def test_a_voice_of_true_shape_is_loaded_and_speaks(tmp_path: Path) -> None:
    """All layers of a medium voice, 15 million random weights: the real library runs them."""
    write_true_shape(tmp_path, "medium")
    engine = loaded(tmp_path, "medium")
    heard = speak(engine, "The lamp is on.").samples
    assert np.abs(heard).max() > 30_000
    seconds = len(heard) / RATE
    assert 0.5 < seconds < 3.0
    assert len(speak(engine, "The lamp is on.", speed=2.0).samples) / RATE == pytest.approx(
        seconds / 2, rel=0.05
    )
