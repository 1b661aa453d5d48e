"""The port `Stt` over an engine host."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from voiced.audio.chunks import ChunkBuffer
from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.engines.clients import convert
from voiced.engines.ports import PARTIALS, EngineInfo, Partial, Priority, Transcript, Utterance
from voiced.engines.spec import MAX_AUDIO_S
from voiced.errors import (
    AudioError,
    EngineBusy,
    EngineCrashed,
    EngineError,
    EnginePreempted,
    EngineUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from voiced.engines.call import Call, Part
    from voiced.engines.host import EngineHost

_STT_BYTES_PER_S = SPEECH_HZ * SAMPLE_BYTES
_REPLAY_BYTES = 64 * 1024

PROGRESS = "progress_s"


def keep_answer(unread: Part, part: Part) -> Part:
    """A `Merge`: only the newest answer is of interest, and of progress only where there is
    none."""
    return unread if PROGRESS in part and PROGRESS not in unread else part


class EngineStt:
    """`Stt` over a host: transcribes while the person speaks, where that disturbs nobody.

    An early run takes a slot only if one is free, and gives it up to any finished utterance.
    """

    def __init__(self, host: EngineHost, *, max_utterance_s: float = MAX_AUDIO_S) -> None:
        self._host = host
        self._max_bytes = int(max_utterance_s * _STT_BYTES_PER_S)

    @property
    def info(self) -> EngineInfo:
        """See `EngineHost.info`."""
        return self._host.info

    @asynccontextmanager
    async def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AsyncIterator[Utterance]:
        """See `Stt.transcribe`."""
        params: dict[str, Any] = {"language": language, "prompt": prompt}
        if word_times:
            params["word_times"] = True
        utterance = _EngineUtterance(self._host, params, priority, self._max_bytes)
        try:
            yield utterance
        finally:
            utterance.close()


class _EngineUtterance:
    """One utterance: its audio, and the run that is, perhaps, going on ahead of its end."""

    def __init__(
        self,
        host: EngineHost,
        params: Mapping[str, Any],
        priority: Priority,
        max_bytes: int,
    ) -> None:
        self._host = host
        self._params = params
        self._priority = priority
        # A job stays one: it is a recording, and nobody waits for it to go on talking.
        job = priority is Priority.JOB
        self._final_priority = Priority.JOB if job else Priority.CONVERSATION
        self._max_bytes = max_bytes
        self._audio = ChunkBuffer()
        self._early: Call | None = None
        self._early_tried = False
        self._partial: Partial | None = None

    @property
    def partial(self) -> Partial | None:
        """See `Utterance.partial`."""
        return self._partial

    def ask(self) -> bool:
        """See `Utterance.ask`. Only the early run is asked: without one nothing is known yet."""
        gives = PARTIALS in self._host.info.capabilities
        return gives and self._early is not None and self._early.ask()

    async def answer(self) -> Partial | None:
        """See `Utterance.answer`."""
        if self._early is None:
            return None
        try:
            while PROGRESS in (part := await anext(self._early)):
                pass
        except (EngineError, StopAsyncIteration):
            return None
        self._partial = convert(part, Partial)
        return self._partial

    async def feed(self, pcm: bytes) -> None:
        """See `Utterance.feed`. Raises `AudioError` beyond the longest utterance."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if len(self._audio) + len(pcm) > self._max_bytes:
            seconds = self._max_bytes // _STT_BYTES_PER_S
            raise AudioError(f"an utterance is longer than {seconds} s")
        self._audio.append(pcm)
        if self._early is not None:
            if not self._early.offer_audio(pcm):
                self._drop_early()
        elif not self._early_tried and self._host.free_slots:
            self._start_early()

    def _start_early(self) -> None:
        """Begin with what has been said so far. Once an utterance: after being displaced it
        would only work for nothing again while others finish theirs."""
        self._early_tried = True
        try:
            self._early = self._host.submit(
                "transcribe",
                self._params,
                self._priority,
                merge=keep_answer,
                in_turn=self._priority is Priority.SPECULATION,
            )
        except (EngineBusy, EngineUnavailable):
            return
        if not self._early.offer_audio(self._audio.join()):
            self._drop_early()

    def _drop_early(self) -> None:
        if self._early is not None:
            self._early.close()
            self._early = None

    async def finish(self) -> Transcript:
        """See `Utterance.finish`."""
        if self._early is not None:
            self._early.promote(self._final_priority)
            self._early.end_audio()
            try:
                return convert(await self._early.result(), Transcript)
            except (EnginePreempted, EngineCrashed):
                self._drop_early()
        async with self._host.request(
            "transcribe",
            self._params,
            self._final_priority,
            requeue=self._final_priority is Priority.JOB,
            merge=keep_answer,
        ) as call:
            audio = self._audio.join()
            for start in range(0, len(audio), _REPLAY_BYTES):
                await call.send_audio(audio[start : start + _REPLAY_BYTES])
            call.end_audio()
            return convert(await call.result(), Transcript)

    def close(self) -> None:
        """Cancel what runs and forget the audio."""
        self._drop_early()
        self._audio.clear()
