"""The phrases engine: the sentences that people said, and nothing that they did not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import wave
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soxr
import trio

from tests.engines.host_helpers import running_host
from tests.patience import CEILING_S
from tests.realtime.live import make_speech
from voiced.audio.resample import resample_whole
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import WorkCancelled
from voiced.engines.spec import EngineSpec
from voiced.engines.stt.phrases import PhrasesEngine
from voiced.engines.stt.phrases_noise import with_noise
from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

AUDIO = Path(
    os.environ.get("VOICED_TEST_AUDIO") or Path(__file__).resolve().parents[3] / "shared" / "audio"
)
LAMP = AUDIO / "turn_on_the_living_room_lamp.wav"
COMMANDS = AUDIO / "commands"
needs_audio = pytest.mark.skipif(not LAMP.is_file(), reason="the recordings are not here")

CHUNK = 640  # bytes: 20 ms


class Request:
    """A `Work` on the spot; cancels itself after `patience` chunks."""

    op = "transcribe"
    asked_anew = False

    def __init__(self, pcm: bytes, *, chunk: int = CHUNK, patience: int = 1_000_000) -> None:
        self.params: Mapping[str, Any] = {"language": "en", "prompt": ""}
        self.pcm = pcm
        self.chunk = chunk
        self.patience = patience
        self.taken = 0

    @property
    def cancelled(self) -> bool:
        return self.taken >= self.patience

    def on_cancel(self, callback: Callable[[], None]) -> None:
        raise AssertionError("chunks are short enough")

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        raise AssertionError("nobody asked")

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, len(self.pcm), self.chunk):
            self.raise_if_cancelled()
            self.taken += 1
            yield self.pcm[at : at + self.chunk]


def read_pcm(path: Path) -> bytes:
    """A WAV file as PCM16 mono at 16 kHz."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    mono = frames.reshape(-1, channels).astype(np.float32).mean(axis=1)
    resampled = soxr.resample(mono, rate, 16_000)
    return bytes(np.clip(resampled, -32_768, 32_767).astype(np.int16).tobytes())


@pytest.fixture(scope="module")
def engine() -> PhrasesEngine:
    engine = PhrasesEngine({"language": "en"})
    engine.load()
    engine.warm_up()
    return engine


@needs_audio
@pytest.mark.parametrize("chunk", [640, 3_200, 1_000_000])
def test_a_recorded_person_is_understood_exactly(engine: PhrasesEngine, chunk: int) -> None:
    result = engine.run(Request(read_pcm(LAMP), chunk=chunk))
    assert result["text"] == "turn on the living room lamp"
    assert result["confidence"] > 0.8
    assert result["duration_s"] == pytest.approx(2.99, abs=0.01)
    spoken = [segment["text"] for segment in result["words"]]
    assert spoken == result["text"].split()
    starts = [segment["start"] for segment in result["words"]]
    assert starts == sorted(starts)


@needs_audio
def test_one_utterance_leaves_nothing_to_the_next(engine: PhrasesEngine) -> None:
    pcm = read_pcm(LAMP)
    first = engine.run(Request(pcm))
    engine.run(Request(read_pcm(COMMANDS / "human_oov_4.wav")))
    with pytest.raises(WorkCancelled):
        engine.run(Request(pcm, patience=70))
    assert engine.run(Request(pcm)) == first


@pytest.mark.parametrize("said", ["what time is it", "turn on the kitchen lights"])
def test_words_in_digital_silence_are_understood_wherever_in_a_frame_they_begin(
    engine: PhrasesEngine, tmp_path: Path, said: str
) -> None:
    wire = make_speech(tmp_path, said, "--voice", "en-us+klatt4", "--speed", "0.9")
    pcm = resample_whole(wire, 24_000, 16_000)
    after = bytes(16_000)
    least = 1.0
    for lead_ms in range(60, 160, 3):
        result = engine.run(Request(bytes(32 * lead_ms) + pcm + after))
        assert result["text"] == said
        least = min(least, result["confidence"])
    assert least > 0.75, "without noise it was 0.46"


def test_the_noise_is_the_same_in_whatever_portions_audio_comes() -> None:
    rng = random.Random(3)
    pcm = array("h", [rng.choice([0, 5, 32_767, -32_768]) for _ in range(40_000)]).tobytes()
    whole = with_noise(pcm, 0)
    parts = [with_noise(pcm[at : at + 1_000], at // 2) for at in range(0, len(pcm), 1_000)]
    assert b"".join(parts) == whole
    changed = [abs(a - b) for a, b in zip(array("h", pcm), array("h", whole), strict=True)]
    assert 0 < max(changed) <= 8


@needs_audio
@pytest.mark.parametrize(
    "said",
    [
        "human_set a timer for 3 hours and 10 minutes",
        "human_timer status",
        "human_turn off lights in the Office",
        "voice_create a timer for 5 and a half minutes",
        "voice_set a timer for 1 hour",
        "voice_set brightness to 50 percent",
        "voice_start a timer for 10 minutes and 20 seconds",
        "voice_stop my timer",
        "voice_turn off all of the Kitchen lights",
        "voice_turn the Standing Light in the Office on",
    ],
)
def test_commands_are_understood_exactly(engine: PhrasesEngine, said: str) -> None:
    result = engine.run(Request(read_pcm(COMMANDS / f"{said}.wav")))
    assert result["text"] == said.partition("_")[2].lower()


@needs_audio
@pytest.mark.parametrize(
    "said",
    [
        "human_oov_2", "human_oov_4", "human_pause", "human_what's the weather",
        "voice_turn on the TV in the Kitchen", "voice_open the blinds in the Office",
        "voice_set lights to red", "voice_what is the EcoBee temperature",
    ],
)  # fmt: skip
def test_other_speech_is_rejected(engine: PhrasesEngine, said: str) -> None:
    result = engine.run(Request(read_pcm(COMMANDS / f"{said}.wav")))
    assert result["text"] == ""
    assert result["confidence"] <= 0.5


@needs_audio
def test_a_sentence_that_breaks_off_is_not_completed(engine: PhrasesEngine) -> None:
    pcm = read_pcm(LAMP)
    # The control: the same audio is understood when it is whole. "lamp" begins at 1.7 s.
    whole = engine.run(Request(pcm))
    cut = int(2 * 16_000 * (whole["words"][-1]["start"] - 0.05))
    result = engine.run(Request(pcm[:cut] + bytes(16_000)))
    assert result["text"] == ""


@pytest.mark.parametrize(
    "pcm",
    [
        b"", b"\x00", b"\x00\x00", bytes(31_999), bytes(64_000),
        random.Random(3).randbytes(64_001),
        array("h", (random.Random(4).randrange(-300, 300) for _ in range(32_000))).tobytes(),
        array("h", [12_000, -12_000] * 16_000).tobytes(),
    ],
    ids=["none", "byte", "sample", "odd", "silence", "noise", "hiss", "tone"],
)  # fmt: skip
def test_what_is_no_speech_gives_no_text(engine: PhrasesEngine, pcm: bytes) -> None:
    result = engine.run(Request(pcm))
    assert result["text"] == ""
    assert result["duration_s"] == len(pcm) / 32_000


def test_an_endless_utterance_is_bounded_and_rejected_with_a_word_in_the_log(
    engine: PhrasesEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    result = engine.run(Request(bytes(32_000 * 70), chunk=32_000))
    assert result["text"] == ""
    assert result["duration_s"] == 70.0
    assert capfd.readouterr().err == (
        "<4>phrases: rejected 70 s of speech; no sentence takes more than 60 s\n"
    )
    engine.run(Request(bytes(32_000 * 2), chunk=32_000))
    assert capfd.readouterr().err == ""


def test_a_name_from_the_home_file_can_be_said(tmp_path: Path) -> None:
    home = tmp_path / "home.yaml"
    home.write_text("devices:\n  - name: zorgblatt lamp\n")
    engine = PhrasesEngine({"home": str(home)})
    assert engine.load().sample_rates == (16_000,)
    home.write_text("devices:\n  - name: lamp\n  - name: \N{SNOWMAN} lamp\n")
    with pytest.raises(ModelError, match=r"home\.yaml:3: .* is not how it is said"):
        PhrasesEngine({"home": str(home)}).load()


def test_the_process_imports_only_what_it_needs() -> None:
    code = (
        "import sys; from voiced.engines.stt.phrases import PhrasesEngine as P; e = P({});"
        "e.load(); e.warm_up();"
        "print([m for m in ('trio', 'numpy', 'hassil', 'sounddevice', 'soxr', 'structlog')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=CEILING_S
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


async def test_it_hears_from_a_process_of_its_own() -> None:
    spec = EngineSpec(
        kind="stt",
        name="phrases",
        target="voiced.engines.stt.phrases:PhrasesEngine",
        options={"sentences": "", "home": "", "language": "en"},
    )
    pcm, expected = bytes(64_000), ""
    if LAMP.is_file():
        pcm, expected = read_pcm(LAMP), "turn on the living room lamp"
    async with running_host(spec) as host:
        async with EngineStt(host).transcribe(language="en") as utterance:
            for at in range(0, len(pcm), CHUNK):
                await utterance.feed(pcm[at : at + CHUNK])
            transcript = await utterance.finish()
        assert transcript.text == expected


class Asking(Request):
    """A request that is asked what it has heard so far, in the middle and at the end."""

    def __init__(self, pcm: bytes, asks_at_s: list[float]) -> None:
        super().__init__(pcm)
        self.asks_at = [int(32_000 * seconds) for seconds in asks_at_s]
        self.parts: list[Mapping[str, Any]] = []

    def emit(self, part: Mapping[str, Any]) -> None:
        self.parts.append(part)

    def chunks(self) -> Iterator[bytes]:
        fed = 0
        for chunk in super().chunks():
            yield chunk
            fed += len(chunk)
            while self.asks_at and self.asks_at[0] <= fed:
                del self.asks_at[0]
                yield b""


@needs_audio
def test_asked_it_tells_what_it_has_heard_and_whether_that_is_a_sentence(
    engine: PhrasesEngine,
) -> None:
    pcm = read_pcm(LAMP)
    whole = engine.run(Request(pcm))
    # The third word ends before 1.4 s in this recording, the last before its last silence.
    ends = {segment["text"]: segment["end"] for segment in whole["words"]}
    asking = Asking(pcm + bytes(8_000), [0.1, ends["room"] + 0.02, ends["lamp"] + 0.1])
    result = engine.run(asking)
    assert result["text"] == whole["text"], "questions change nothing of what is heard"
    too_early, midway, over = asking.parts
    assert too_early["text"] == ""
    assert midway["text"].startswith("turn on the living")
    assert midway["sentence"] is False
    assert over == {"text": "turn on the living room lamp", "sentence": True}


@needs_audio
def test_of_speech_that_is_none_of_its_sentences_it_believes_nothing_so_far(
    engine: PhrasesEngine,
) -> None:
    pcm = read_pcm(COMMANDS / "human_oov_4.wav")
    seconds = len(pcm) / 32_000
    asking = Asking(pcm, [seconds * share for share in (0.5, 0.75, 1.0)])
    engine.run(asking)
    assert [part["text"] for part in asking.parts] == ["", "", ""]


@needs_audio
async def test_the_answer_comes_through_the_host_while_the_speech_goes_on() -> None:
    pcm = read_pcm(LAMP) + bytes(6_400)
    spec = EngineSpec(
        kind="stt",
        name="phrases",
        target="voiced.engines.stt.phrases:PhrasesEngine",
        options={"language": "en"},
    )
    async with running_host(spec) as host:
        stt = EngineStt(host)
        async with stt.transcribe(language="en") as utterance:
            for at in range(0, len(pcm), 3_200):
                await utterance.feed(pcm[at : at + 3_200])
            before = utterance.partial
            assert before is None
            assert utterance.ask()
            with trio.fail_after(CEILING_S):
                heard = await utterance.answer()
            assert heard is not None
            assert (heard.text, heard.sentence) == ("turn on the living room lamp", True)
            assert utterance.partial == heard
            assert (await utterance.finish()).text == heard.text
            assert not utterance.ask(), "there is nothing to ask of what is over"
