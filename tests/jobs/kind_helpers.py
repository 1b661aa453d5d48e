"""Jobs that are broken off again and again, and engines in this process that tell what they got."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import trio

from tests.patience import CEILING_S
from voiced.engines.ports import EngineInfo, Partial, PcmChunk, Priority, Timed, Transcript
from voiced.jobs.memory import MemoryWork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from voiced.jobs.kind import JobFrame, JobKind, JobRequest

When = Literal["before", "after"]


class MortalWork(MemoryWork):
    """One run of a job that dies at its `dies_at`-th commit, before it is kept or after.

    What its next life finds is what `kill -9` leaves: the checkpoint, the frames, the files.
    """

    def __init__(self, request: JobRequest, directory: Path, last: MemoryWork | None) -> None:
        super().__init__(request, directory, self._hear, job_id="job_1")
        self.scope = trio.CancelScope()
        self.dies_at = 0
        self.dies: When = "after"
        self.commits = 0
        self.percents: list[float] = []
        if last is not None:
            self.checkpoint = last.checkpoint
            self._frames = list(last._frames)

    def _hear(self, percent: float) -> None:
        self.percents.append(percent)

    async def commit(
        self, checkpoint: bytes, frames: Sequence[JobFrame] = (), progress: float | None = None
    ) -> None:
        self.commits += 1
        if self.commits == self.dies_at and self.dies == "before":
            await self._die()
        await super().commit(checkpoint, frames, progress)
        if self.commits == self.dies_at:
            await self._die()

    async def _die(self) -> None:
        self.scope.cancel(reason="the test kills it")
        await trio.lowlevel.checkpoint()

    async def live(self, kind: JobKind) -> bool:
        """Run until it dies; whether it came to its end."""
        with trio.fail_after(CEILING_S), self.scope:
            await kind.run(self)
        return not self.scope.cancelled_caught


async def run_undisturbed(kind: JobKind, request: JobRequest, directory: Path) -> MortalWork:
    work = MortalWork(request, directory, None)
    assert await work.live(kind)
    return work


async def run_dying_everywhere(kind: JobKind, request: JobRequest, directory: Path) -> MortalWork:
    """Each life ends at its first commit, by turns before and after that was kept, so that there
    is a death on both sides of each commit of the whole job."""
    work: MortalWork | None = None
    for life in range(1_000):
        work = MortalWork(request, directory, work)
        work.dies_at = 1
        work.dies = "after" if life % 2 else "before"
        if await work.live(kind):
            return work
    raise AssertionError("it never came to its end")


class DigestStt:
    """`Stt` that "understands" what it was given, sample for sample: its text is a digest of it."""

    info = EngineInfo(kind="stt", name="digest", version="1", languages=("en", "de"))

    def __init__(self) -> None:
        self.asked: list[tuple[Priority, str]] = []

    @asynccontextmanager
    async def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AsyncIterator[DigestUtterance]:
        self.asked.append((priority, language))
        yield DigestUtterance(word_times)


class DeafStt(DigestStt):
    """Hears that somebody speaks, and understands nothing."""

    @asynccontextmanager
    async def transcribe(self, **asked: Any) -> AsyncIterator[DigestUtterance]:  # noqa: ANN401
        async with super().transcribe(**asked) as utterance:
            utterance.deaf = True
            yield utterance


class DigestUtterance:
    partial: Partial | None = None
    deaf = False

    def __init__(self, word_times: bool) -> None:
        self._pcm = bytearray()
        self._word_times = word_times

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm
        await trio.lowlevel.checkpoint()

    def ask(self) -> bool:
        return False

    async def answer(self) -> Partial | None:
        return None

    async def finish(self) -> Transcript:
        await trio.lowlevel.checkpoint()
        text = "" if self.deaf else hashlib.sha256(self._pcm).hexdigest()
        seconds = len(self._pcm) / 32_000
        words = (Timed(start=0.1, end=seconds, text=text),) if self._word_times and text else ()
        return Transcript(text=text, confidence=0.75, duration_s=seconds, words=words)


class ToneTts:
    """`Tts` that says each letter as ten milliseconds of a tone, and is silent a little behind."""

    info = EngineInfo(kind="tts", name="tone", version="1", voices=("en", "de"))

    def __init__(self) -> None:
        self.said: list[str] = []
        self.owners: list[str] = []

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[PcmChunk]]:
        assert priority is Priority.JOB
        self.said.append(text)

        async def chunks() -> AsyncIterator[PcmChunk]:
            for letter in text:
                await trio.lowlevel.checkpoint()
                yield PcmChunk(pcm=tone_of(letter), sample_rate=22_050)
            yield PcmChunk(pcm=bytes(2 * 2_205), sample_rate=22_050)

        yield chunks()


def tone_of(letter: str) -> bytes:
    """10 ms at 22,050 Hz, different for each letter."""
    half = 4 + ord(letter) % 50
    period = half * b"\x00\x20" + half * b"\x00\xe0"
    return (period * 30)[: 2 * 220]


def texts(frames: Sequence[JobFrame]) -> list[Any]:
    return [(frame.index, frame.text, frame.start_s, frame.end_s) for frame in frames]
