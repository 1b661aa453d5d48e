"""One utterance on its way to the recogniser, from its first sound to its text."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import structlog
import trio

from voiced.audio.formats import PCM, WireFormat
from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.audio.resample import to_speech
from voiced.conversation import inputs as inp
from voiced.errors import EngineError, VoicedError
from voiced.realtime.early import Early

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.ports import Partial, Stt, Transcript, Utterance

log = structlog.get_logger(__name__)

SLICE_MS = 5_000
"""Audio resampled in one go when a whole buffer is committed: about 5 ms."""


class Listening:
    """An utterance being heard: audio at 16 kHz as it comes, then the item it belongs to."""

    def __init__(self, *, keeps: bool = False) -> None:
        """`keeps` its audio, so that `hear_early` is possible."""
        self.scope = trio.CancelScope()
        self.audio: deque[bytes] = deque()
        self.raw = b""
        self.form = PCM
        self.item_id: str | None = None
        self.bytes_fed = 0
        self._changed = trio.Event()
        self._tell: Callable[[Partial | None], None] | None = None
        self._in_passing = False
        self._unposed = False
        self._questions = 0
        self._utterance: Utterance | None = None
        self._asked = trio.Event()
        self._kept: list[bytes] | None = [] if keeps else None
        self._early: Early | None = None
        self._early_asked = trio.Event()

    def ask(self, tell: Callable[[Partial | None], None], *, in_passing: bool = False) -> bool:
        """Ask the recogniser what it has heard of all audio added so far.

        `tell` is called once with the answer, None where there is none; not at all once the
        utterance is over. False: a question waits already. One that was asked `in_passing` gives
        way to one that was not, and is never answered then.
        """
        if self._tell is not None and (in_passing or not self._in_passing):
            return False
        self._tell, self._in_passing = tell, in_passing
        self._unposed = True
        self._changed.set()
        return True

    def pose(self, utterance: Utterance) -> None:
        """Pass a waiting question on, now that the recogniser has all the audio."""
        if not self._unposed:
            return
        self._unposed = False
        if utterance.ask():
            self._questions += 1
            self._utterance = utterance
            self._asked.set()
        else:
            self.tell(None)

    def tell(self, partial: Partial | None) -> None:
        """Answer the question that waits, if one does. Of a finished utterance nothing is told."""
        tell, self._tell = self._tell, None
        self._unposed = False
        self._utterance = None
        if tell is not None and self.item_id is None:
            tell(partial)

    async def answer(self) -> None:
        """Wait for the answers of the recogniser until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            while self._utterance is not None:  # else it failed in the same moment, and was told
                try:
                    partial = await self._utterance.answer()
                except EngineError as exc:
                    log.warning("no partial transcript", code=exc.code, error=str(exc))
                    partial = None
                if partial is None or self._is_answer(partial):
                    self.tell(partial)

    def _is_answer(self, partial: Partial) -> bool:
        """Whether this is of the question that waits, and not of one that has given way to it."""
        return not self._unposed and (partial.question or self._questions) >= self._questions

    @property
    def keeps(self) -> bool:
        """Whether `hear_early` is possible."""
        return self._kept is not None

    def add(self, pcm: bytes) -> None:
        """More audio of this utterance."""
        self.audio.append(pcm)
        if self._kept is not None:
            self._kept.append(pcm)
        self.bytes_fed += len(pcm)
        self._changed.set()

    def hear_early(self, tell: Callable[[str], None]) -> None:
        """Have what was added so far transcribed as if it were all. `tell` is called with that,
        unless `forget_early` comes first."""
        assert self._kept is not None
        self.forget_early()
        self._early = Early(self._kept, tell)
        self._early_asked.set()

    def forget_early(self) -> None:
        """It was not all."""
        early, self._early = self._early, None
        if early is not None:
            early.drop()

    async def transcribe_early(self, stt: Stt, language: str, prompt: str) -> None:
        """Make the early transcripts, one after the other, until cancelled."""
        while True:
            await self._early_asked.wait()
            self._early_asked = trio.Event()
            if self._early is not None:
                await self._early.run(stt, language, prompt)

    async def early_transcript(self) -> Transcript | None:
        """The transcript that is there already, or about to be, of all that was said."""
        return None if self._early is None else await self._early.result()

    def finish(
        self, item_id: str, raw: bytes, form: WireFormat, *, by_silence: bool = False
    ) -> None:
        """The utterance is over and belongs to `item_id`; `raw` is its tail as it came. Where it
        ended `by_silence`, what was transcribed when that began is all of it."""
        if not by_silence:
            self.forget_early()
        self._kept = None
        self.item_id = item_id
        self.raw, self.form = raw, form
        self._changed.set()

    async def changed(self) -> None:
        """Wait for more audio or the end."""
        await self._changed.wait()
        self._changed = trio.Event()


async def recognise(
    listening: Listening, stt: Stt, language: str, prompt: str
) -> inp.TranscriptReady | inp.TranscriptFailed | None:
    """Follow an utterance to its end; None where its scope was cancelled.

    Never raises for an engine or a fault of ours: the item it belongs to fails instead, as soon
    as there is one. Cancelling it cancels the recognition.
    """
    result = None
    with listening.scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listening.answer)
            if listening.keeps:
                nursery.start_soon(listening.transcribe_early, stt, language, prompt)
            result = await hear(listening, stt, language, prompt)
            nursery.cancel_scope.cancel(reason="the utterance is over")
    return result


async def hear(
    listening: Listening, stt: Stt, language: str, prompt: str
) -> inp.TranscriptReady | inp.TranscriptFailed:
    """An utterance from its first sound to its text."""
    try:
        async with stt.transcribe(language=language, prompt=prompt) as utterance:
            item_id = await pass_on(listening, utterance)
            transcript = await listening.early_transcript() or await utterance.finish()
    except VoicedError as exc:
        log.warning("transcription failed", code=exc.code, error=str(exc))
        return await failure(listening, exc.code, exc.public)
    except Exception:
        log.exception("transcription failed by a fault of ours")
        return await failure(listening, "internal_error", "The server made a mistake.")
    seconds = listening.bytes_fed / (SAMPLE_BYTES * SPEECH_HZ)
    # Whether anything was understood, and not what.
    log.info(
        "heard turn",
        item=item_id,
        empty=not transcript.text,
        confidence=round(transcript.confidence, 2),
        speech_s=round(seconds, 2),
    )
    return inp.TranscriptReady(item_id=item_id, text=transcript.text, duration_s=seconds)


async def pass_on(listening: Listening, utterance: Utterance) -> str:
    """Feed the recogniser until the utterance is claimed; the id of the item that claimed it."""
    while True:
        while listening.audio:
            await utterance.feed(listening.audio.popleft())
        listening.pose(utterance)
        if listening.item_id is not None:
            break
        await listening.changed()
    form = listening.form
    size = form.bytes_for_ms(SLICE_MS)
    for start in range(0, len(listening.raw), size):
        piece = to_speech(listening.raw[start : start + size], form).tobytes()
        listening.bytes_fed += len(piece)
        await utterance.feed(piece)
        await trio.lowlevel.checkpoint()
    return listening.item_id


async def failure(listening: Listening, code: str, message: str) -> inp.TranscriptFailed:
    """The failure of the item that the utterance belongs to, once there is one."""
    while listening.item_id is None:
        listening.audio.clear()
        listening.tell(None)
        await listening.changed()
    return inp.TranscriptFailed(item_id=listening.item_id, code=code, message=message)
