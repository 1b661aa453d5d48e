"""Recordings of any length to text, however often the work is broken off."""

from __future__ import annotations

import json
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import av
import msgspec
import numpy as np
import psutil
import pytest
import trio

from tests.jobs.kind_helpers import (
    DeafStt,
    DigestStt,
    DigestUtterance,
    MortalWork,
    run_dying_everywhere,
    run_undisturbed,
    texts,
)
from tests.media.recordings import make_recording
from tests.models.whisper_model import Listener, write_listener
from voiced.audio.files import encode_wav
from voiced.cli.engines import open_engine
from voiced.engines.clients import EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Priority
from voiced.errors import AudioError, DecodingFailed, StorageError
from voiced.jobs.kind import INPUT_NAME, JobError
from voiced.jobs.transcription import (
    JOURNAL_NAME,
    Point,
    Transcription,
    TranscriptionRequest,
    read_passages,
)
from voiced.media.encode import make_frame
from voiced.media.transcripts import TRANSCRIPT_TYPES
from voiced.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOUR_S = 3_600.0


@pytest.fixture(scope="module")
def speech() -> bytes:
    """Six sentences of espeak's at 24 kHz, with pauses of all lengths between them."""

    async def speak() -> bytes:
        random = np.random.default_rng(7)
        pcm = b""
        async with open_engine(Settings(), "tts") as host:
            for number in range(6):
                text = f"This is sentence number {number}, and it goes on for a while."
                async with EngineTts(host).speak(text, speed=1.4) as chunks:
                    async for chunk in chunks:
                        assert chunk.sample_rate == 22_050
                        pcm += chunk.pcm
                pcm += bytes(2 * int(random.uniform(0.1, 0.9) * 22_050))
        return pcm

    return trio.run(speak)


def kind_of(stt: object) -> Transcription:
    return Transcription(Settings(), stt, max_s=HOUR_S)  # type: ignore[arg-type]  # fakes too


def put(directory: Path, recording: Path) -> Path:
    """A job's directory with that input."""
    directory.mkdir()
    shutil.copyfile(recording, directory / INPUT_NAME)
    return directory


FILES = {
    "mp3": ("a.mp3", "libmp3lame", None),
    "video": ("a.mp4", "aac", "mpeg4"),
}


@pytest.mark.parametrize("kind", FILES)
async def test_death_on_either_side_of_every_commit_changes_nothing(
    kind: str, speech: bytes, tmp_path: Path
) -> None:
    name, codec, video = FILES[kind]
    recording = make_recording(tmp_path / name, speech, 22_050, codec=codec, video=video)
    request = TranscriptionRequest(response_format="srt")
    transcription = kind_of(DigestStt())
    whole = await run_undisturbed(transcription, request, put(tmp_path / "whole", recording))
    often = await run_dying_everywhere(transcription, request, put(tmp_path / "often", recording))
    assert texts(await often.frames()) == texts(await whole.frames())
    assert [frame.index for frame in await whole.frames()] == list(range(whole.commits - 1))
    assert whole.commits > 5
    assert whole.result is not None
    assert often.result is not None
    assert often.result.read_bytes() == whole.result.read_bytes()


class KillingStt(DigestStt):
    """Ends the decoder while it is at its third stretch, as the kernel does for want of memory."""

    @asynccontextmanager
    async def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AsyncIterator[DigestUtterance]:
        if len(self.asked) == 2:
            for child in psutil.Process().children():
                if "voiced.media.child" in child.cmdline():
                    child.kill()
        async with super().transcribe(
            language=language, prompt=prompt, word_times=word_times, priority=priority
        ) as utterance:
            yield utterance


async def test_a_decoder_that_was_killed_is_started_again_and_nothing_repeated(
    speech: bytes, tmp_path: Path
) -> None:
    # Far longer than what a decoder has said in advance.
    recording = make_recording(tmp_path / "a.wav", speech * 3, 22_050, codec="pcm_s16le")
    request, killing = TranscriptionRequest(), KillingStt()
    undisturbed = put(tmp_path / "whole", recording)
    whole = await run_undisturbed(kind_of(DigestStt()), request, undisturbed)
    killed = await run_undisturbed(kind_of(killing), request, put(tmp_path / "job", recording))
    assert len(killing.asked) > 10
    assert texts(await killed.frames()) == texts(await whole.frames())
    assert killed.result is not None
    assert whole.result is not None
    assert killed.result.read_bytes() == whole.result.read_bytes()


async def test_a_recording_that_ends_each_decoder_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    async def break_down(*_: object) -> float:
        tried.append(1)
        await trio.lowlevel.checkpoint()
        raise DecodingFailed("a coder ended without a result")

    monkeypatch.setattr("voiced.jobs.transcription.transcribe_recording", break_down)
    (tmp_path / INPUT_NAME).touch()
    work = MortalWork(TranscriptionRequest(), tmp_path, None)
    with pytest.raises(DecodingFailed):
        await work.live(kind_of(DigestStt()))
    assert len(tried) == 2


async def test_who_does_not_know_where_the_cutting_stood_repeats(
    speech: bytes, tmp_path: Path
) -> None:
    """The control: the same death, with the checkpoint's place in the recording lost."""
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    request = TranscriptionRequest()
    work = MortalWork(request, put(tmp_path / "job", recording), None)
    work.dies_at = 3
    assert not await work.live(kind_of(DigestStt()))
    assert work.checkpoint is not None
    point = msgspec.msgpack.decode(work.checkpoint, type=Point)
    lost = msgspec.structs.replace(point, job=msgspec.structs.replace(point.job, resume=None))
    work.checkpoint = msgspec.msgpack.encode(lost)
    second = MortalWork(request, work.directory, work)
    assert await second.live(kind_of(DigestStt()))
    repeated = [frame.text for frame in await second.frames()]
    assert repeated[:3] == repeated[3:6]


async def test_engine_is_asked_as_a_job_and_for_what_was_asked(
    speech: bytes, tmp_path: Path
) -> None:
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    stt = DigestStt()
    request = TranscriptionRequest(language="de")
    work = await run_undisturbed(kind_of(stt), request, put(tmp_path / "job", recording))
    assert set(stt.asked) == {(Priority.JOB, "de")}
    assert set(work.seconds) == {"digest"}
    assert work.percents == sorted(work.percents)
    assert 0 < work.percents[0] < 40
    assert work.percents[-1] == 99.0
    passages = list(read_passages(work.directory))
    for passage, frame in zip(passages, await work.frames(), strict=True):
        assert frame.text == passage.text
        assert frame.confidence == 0.75


@pytest.mark.parametrize("wanted", TRANSCRIPT_TYPES)
async def test_result_is_of_the_format_that_was_asked_for(
    wanted: str, speech: bytes, tmp_path: Path
) -> None:
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    request = msgspec.convert(
        {"type": "transcription", "response_format": wanted}, TranscriptionRequest
    )
    work = await run_undisturbed(kind_of(DigestStt()), request, put(tmp_path / "job", recording))
    frames = await work.frames()
    assert work.result is not None
    assert work.result.name == f"transcript.{wanted}"
    text = work.result.read_text()
    if wanted == "json":
        answer = json.loads(text)
        assert answer["text"] == " ".join(frame.text for frame in frames)
        assert [segment["text"] for segment in answer["segments"]] == [f.text for f in frames]
        assert [segment["id"] for segment in answer["segments"]] == list(range(len(frames)))
        assert [word["word"] for word in answer["words"]] == [f.text for f in frames]
        assert answer["duration"] == pytest.approx(len(speech) / 44_100, abs=0.1)
        assert answer["language"] == "en"
    elif wanted == "txt":
        assert text.splitlines() == [frame.text for frame in frames]
    else:
        assert text.startswith({"srt": "1\n00:00:0", "vtt": "WEBVTT\n\n00:00:0"}[wanted])
        assert text.count(" --> ") == len(frames)


@pytest.mark.parametrize("engine", ["phrases", "whisper"])
async def test_real_engine_goes_on_as_if_nothing_had_been(
    engine: str, speech: bytes, tmp_path: Path
) -> None:
    write_listener(tmp_path / "listener", Listener(level=0.0))
    whisper = {"model": str(tmp_path / "listener"), "compute_type": "float32"}
    stt = {"engine": engine, **(whisper if engine == "whisper" else {})}
    settings = msgspec.convert({"stt": stt}, Settings)
    beginning = speech[: 2 * 22_050 * 11]
    sentences = make_recording(tmp_path / "a.wav", beginning, 22_050, codec="pcm_s16le")
    request = TranscriptionRequest(response_format="json")
    async with open_engine(settings, "stt") as host:
        transcription = kind_of(EngineStt(host))
        whole = await run_undisturbed(transcription, request, put(tmp_path / "a", sentences))
        directory = put(tmp_path / "b", sentences)
        first = MortalWork(request, directory, None)
        first.dies_at = 2
        assert not await first.live(transcription)
        second = MortalWork(request, directory, first)
        assert await second.live(transcription)
    assert second.commits == whole.commits - 2
    assert whole.result is not None
    assert second.result is not None
    assert second.result.read_bytes() == whole.result.read_bytes()
    if engine == "whisper":
        assert json.loads(whole.result.read_bytes())["words"]


async def test_change_of_the_settings_on_the_way_changes_no_cut(
    speech: bytes, tmp_path: Path
) -> None:
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    request = TranscriptionRequest()
    whole = await run_undisturbed(kind_of(DigestStt()), request, put(tmp_path / "whole", recording))
    directory = put(tmp_path / "job", recording)
    first = MortalWork(request, directory, None)
    first.dies_at = 3
    assert not await first.live(kind_of(DigestStt()))
    changed = msgspec.convert({"turn_detection": {"silence_duration_ms": 900}}, Settings)
    stt = DigestStt()
    stt.info = msgspec.structs.replace(stt.info, model="larger")
    second = MortalWork(request, directory, first)
    assert await second.live(Transcription(changed, stt, max_s=HOUR_S))
    assert texts(await second.frames()) == texts(await whole.frames())
    assert [code for code, _ in second.warnings] == ["engine_changed"]


async def test_silence_is_told_and_no_failure(tmp_path: Path) -> None:
    recording = tmp_path / "a.wav"
    recording.write_bytes(encode_wav(bytes(64_000), 16_000))
    work = await run_undisturbed(
        kind_of(DigestStt()), TranscriptionRequest(), put(tmp_path / "job", recording)
    )
    assert [code for code, _ in work.warnings] == ["no_speech"]
    assert await work.frames() == []
    assert work.result is not None
    assert json.loads(work.result.read_bytes())["segments"] == []


async def test_speech_that_is_not_understood_is_told_and_no_failure(
    speech: bytes, tmp_path: Path
) -> None:
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    work = await run_undisturbed(
        kind_of(DeafStt()), TranscriptionRequest(), put(tmp_path / "job", recording)
    )
    assert [code for code, _ in work.warnings] == ["nothing_understood"]
    assert await work.frames() == []


@pytest.mark.parametrize("content", [b"", b"Dear Sirs, " * 400], ids=["empty", "text"])
async def test_what_is_no_recording_fails_and_says_so(content: bytes, tmp_path: Path) -> None:
    recording = tmp_path / "a.wav"
    recording.write_bytes(content)
    directory = put(tmp_path / "job", recording)
    with pytest.raises(AudioError) as caught:
        await run_undisturbed(kind_of(DigestStt()), TranscriptionRequest(), directory)
    assert str(tmp_path) not in caught.value.public
    assert not list(directory.glob("transcript*"))


async def test_longer_recording_than_allowed_is_refused(speech: bytes, tmp_path: Path) -> None:
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    kind = Transcription(Settings(), DigestStt(), max_s=10.0)
    with pytest.raises(AudioError, match="longer than 10 s"):
        await run_undisturbed(kind, TranscriptionRequest(), put(tmp_path / "job", recording))


async def test_journal_that_lost_its_end_is_noticed(speech: bytes, tmp_path: Path) -> None:
    recording = make_recording(tmp_path / "a.wav", speech, 22_050, codec="pcm_s16le")
    request = TranscriptionRequest()
    work = MortalWork(request, put(tmp_path / "job", recording), None)
    work.dies_at = 3
    await work.live(kind_of(DigestStt()))
    journal = work.directory / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes()[:-1])
    with pytest.raises(StorageError):
        await MortalWork(request, work.directory, work).live(kind_of(DigestStt()))


def test_what_cannot_be_is_refused_with_the_name_of_the_field() -> None:
    kind = kind_of(DigestStt())
    with pytest.raises(JobError, match="'file'"):
        kind.check(TranscriptionRequest(), has_file=False)
    with pytest.raises(JobError, match=r"'language'.*de, en only"):
        kind.check(TranscriptionRequest(language="fr"), has_file=True)
    assert kind.check(TranscriptionRequest(language="en-GB"), has_file=True).language == "en-GB"
    with pytest.raises(msgspec.ValidationError, match="response_format"):
        msgspec.convert({"type": "transcription", "response_format": "doc"}, TranscriptionRequest)


async def test_long_recording_is_never_in_memory_as_a_whole(speech: bytes, tmp_path: Path) -> None:
    samples = np.frombuffer(speech, "<i2")[::2].tobytes()
    recording = tmp_path / "long.flac"
    with av.open(str(recording), "w") as container:
        stream = container.add_stream("flac", rate=11_025, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for number in range(int(720 / (len(samples) / 22_050))):
            container.mux(stream.encode(make_frame(samples, 11_025, number * len(samples) // 2)))
        container.mux(stream.encode(None))
    work = MortalWork(TranscriptionRequest(), put(tmp_path / "job", recording), None)
    before = psutil.Process().memory_info().rss
    assert await work.live(kind_of(DigestStt()))
    assert len(await work.frames()) > 100
    # 23 MB of samples went through.
    assert psutil.Process().memory_info().rss - before < 12e6
