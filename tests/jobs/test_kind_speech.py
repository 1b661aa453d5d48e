"""Long texts to files of sound, however often the work is broken off."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import av
import msgspec
import numpy as np
import psutil
import pytest
import trio

from tests.jobs.kind_helpers import (
    MortalWork,
    ToneTts,
    run_dying_everywhere,
    run_undisturbed,
    texts,
    tone_of,
)
from voiced.audio.files import read_pcm16
from voiced.cli.engines import open_engine
from voiced.engines.clients import EngineTts
from voiced.engines.ports import PcmChunk, Priority
from voiced.errors import SpeechError
from voiced.jobs.kind import INPUT_NAME, JobError, JobRefused
from voiced.jobs.speech import (
    PARAGRAPH_PAUSE_MS,
    SENTENCE_PAUSE_MS,
    SpeechKind,
    SpeechRequest,
    decode_text,
)
from voiced.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from numpy.typing import NDArray

MARKDOWN = """# A Title

The *first* sentence. The second one,
which goes on in the next line!

```python
nobody("says this")
```

- An item
- Another [item](https://example.org/path)

The end.
"""
SENTENCES = [
    "A Title",
    "The first sentence.",
    "The second one, which goes on in the next line!",
    "An item",
    "Another item",
    "The end.",
]


def kind_of(tts: object) -> SpeechKind:
    return SpeechKind(Settings(), tts, most_characters=100_000)  # type: ignore[arg-type]  # fakes


def request_of(file_format: str, text: str = MARKDOWN, **more: object) -> SpeechRequest:
    fields = {"type": "speech", "response_format": file_format, "input": text, **more}
    return msgspec.convert(fields, SpeechRequest)


def make(path: Path) -> Path:
    path.mkdir()
    return path


def samples_of(path: Path) -> NDArray[np.float64]:
    """The sound in a file, decoded, full scale at -1 and 1."""
    to_float = av.AudioResampler(format="flt", layout="mono")
    with av.open(str(path), "r") as container:
        frames = [f for decoded in container.decode(audio=0) for f in to_float.resample(decoded)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float64)


def seconds_of(path: Path) -> float:
    """How long the sound in a file is, decoded."""
    with av.open(str(path), "r") as container:
        return sum(f.samples / f.sample_rate for f in container.decode(audio=0))


@pytest.mark.parametrize("file_format", ["wav", "mp3", "flac"])
async def test_death_on_either_side_of_every_commit_changes_nothing(
    file_format: str, tmp_path: Path
) -> None:
    request = request_of(file_format)
    whole = await run_undisturbed(kind_of(ToneTts()), request, make(tmp_path / "whole"))
    often = await run_dying_everywhere(kind_of(ToneTts()), request, make(tmp_path / "often"))
    assert texts(await often.frames()) == texts(await whole.frames())
    assert whole.commits == len(SENTENCES) + 1
    assert whole.result is not None
    assert often.result is not None
    once, twice = samples_of(whole.result), samples_of(often.result)
    # The resampler dithers, each time with other noise: one step of 16 bits.
    assert len(once) == len(twice)
    assert np.abs(once - twice).mean() < (2 / 32_768 if file_format != "mp3" else 0.002)
    assert sorted(path.name for path in often.directory.iterdir()) == [f"speech.{file_format}"]


async def test_markdown_is_said_sentence_by_sentence_and_told_as_written(tmp_path: Path) -> None:
    tts = ToneTts()
    work = await run_undisturbed(kind_of(tts), request_of("wav"), make(tmp_path / "job"))
    assert tts.said == SENTENCES
    frames = await work.frames()
    assert [frame.text for frame in frames] == [
        "# A Title",
        "The *first* sentence.",
        "The second one, which goes on in the next line!",
        "- An item",
        "- Another [item](https://example.org/path)",
        "The end.",
    ]
    assert work.percents == sorted(work.percents)
    assert set(work.seconds) == {"tone"}
    assert frames[0].start_s == 0.0
    assert frames[-1].end_s is not None
    assert work.result is not None
    assert seconds_of(work.result) == pytest.approx(frames[-1].end_s, abs=0.001)


async def test_pauses_are_as_long_whatever_quiet_the_engine_leaves(tmp_path: Path) -> None:
    work = await run_undisturbed(
        kind_of(ToneTts()), request_of("wav", pause_ms=1_200), make(tmp_path / "job")
    )
    assert work.result is not None
    samples = np.frombuffer(read_pcm16(work.result, 24_000), "<i2")
    frames = await work.frames()
    quiet_ms = []
    for frame in frames[1:]:
        assert frame.start_s is not None
        start = round(frame.start_s * 24_000)
        loud = np.flatnonzero(np.abs(samples[:start].astype(int)) >= 200)
        quiet_ms.append((start - loud[-1]) / 24)
    wanted = [1_200, SENTENCE_PAUSE_MS, 1_200, 1_200, 1_200]
    assert quiet_ms == pytest.approx(wanted, abs=3)
    assert PARAGRAPH_PAUSE_MS > SENTENCE_PAUSE_MS


@pytest.mark.parametrize("file_format", ["wav", "flac", "mp3", "opus", "aac", "pcm"])
async def test_result_is_of_the_format_that_was_asked_for(file_format: str, tmp_path: Path) -> None:
    async with open_engine(Settings(), "tts") as host:
        work = await run_undisturbed(
            kind_of(EngineTts(host)), request_of(file_format), make(tmp_path / "job")
        )
    frames = await work.frames()
    assert work.result is not None
    assert work.result.name == f"speech.{file_format}"
    said_s = frames[-1].end_s
    assert said_s is not None
    if file_format == "pcm":
        assert work.result.stat().st_size == pytest.approx(said_s * 48_000, abs=48)
        return
    assert seconds_of(work.result) == pytest.approx(said_s, abs=0.1)
    if file_format in ("wav", "flac"):
        with av.open(str(work.result), "r") as container:
            assert container.duration is not None
            assert container.duration / av.time_base == pytest.approx(said_s, abs=0.001)


async def test_text_may_be_a_file_and_in_utf_16(tmp_path: Path) -> None:
    for number, encoding in enumerate(("utf-8", "utf-8-sig", "utf-16")):
        directory = make(tmp_path / str(number))
        (directory / INPUT_NAME).write_bytes("Grüße an alle.\r\n\r\nEnde.".encode(encoding))
        tts = ToneTts()
        await run_undisturbed(kind_of(tts), request_of("wav", ""), directory)
        assert tts.said == ["Grüße an alle.", "Ende."]


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", b"Gr\xfc\xdfe", b"nul\0"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(JobError, match="'file' is no text"):
        decode_text(data)


async def test_text_of_which_nothing_can_be_said_fails(tmp_path: Path) -> None:
    for number, text in enumerate(("```\ncode\n```\n", "***\n\n---\n", "\U0001f600")):
        with pytest.raises(SpeechError):
            await run_undisturbed(
                kind_of(ToneTts()), request_of("mp3", text), make(tmp_path / str(number))
            )


def test_what_cannot_be_is_refused_with_the_name_of_the_field(tmp_path: Path) -> None:
    kind = kind_of(ToneTts())
    with pytest.raises(JobError, match="'input' and 'file'"):
        kind.check(request_of("mp3"), has_file=True)
    with pytest.raises(JobError, match="'input' is missing"):
        kind.check(request_of("mp3", " \n"), has_file=False)
    with pytest.raises(JobError, match="'input' is too long"):
        kind.check(request_of("mp3", "a" * 100_001), has_file=False)
    with pytest.raises(JobRefused, match="'voice'") as caught:
        kind.check(request_of("mp3", voice="nobody"), has_file=False)
    assert (caught.value.status, caught.value.param) == (400, "voice")
    assert kind.check(request_of("mp3", voice="de"), has_file=False).voice == "de"
    with pytest.raises(msgspec.ValidationError, match=r"\$\.speed"):
        request_of("mp3", speed=9)
    with pytest.raises(msgspec.ValidationError, match="speeed"):
        request_of("mp3", speeed=1)


async def test_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    directory = make(tmp_path / "job")
    (directory / INPUT_NAME).write_bytes(b"word " * 30_000)
    with pytest.raises(JobError, match="'file' is too long"):
        await run_undisturbed(kind_of(ToneTts()), request_of("wav", ""), directory)


class LongTts(ToneTts):
    """Each sentence lasts four seconds."""

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[PcmChunk]]:
        async def chunks() -> AsyncIterator[PcmChunk]:
            await trio.lowlevel.checkpoint()
            yield PcmChunk(pcm=tone_of(text[0]) * 400, sample_rate=24_000)

        yield chunks()


async def test_long_speech_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    work = MortalWork(request_of("flac", "One. " * 300), make(tmp_path / "job"), None)
    before = psutil.Process().memory_info().rss
    assert await work.live(kind_of(LongTts()))
    last = (await work.frames())[-1]
    assert last.end_s is not None
    assert last.end_s > 1_000  # 50 MB of samples and more
    assert psutil.Process().memory_info().rss - before < 20e6
