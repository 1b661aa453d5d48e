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
from voiced.errors import VoicedError

if TYPE_CHECKING:
    from voiced.engines.ports import Stt, Utterance

log = structlog.get_logger(__name__)

SLICE_MS = 5_000
"""Audio resampled in one go when a whole buffer is committed: about 5 ms."""


class Listening:
    """An utterance being heard: audio at 16 kHz as it comes, then the item it belongs to."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.audio: deque[bytes] = deque()
        self.raw = b""
        self.form = PCM
        self.item_id: str | None = None
        self.bytes_fed = 0
        self._changed = trio.Event()

    def add(self, pcm: bytes) -> None:
        """More audio of this utterance."""
        self.audio.append(pcm)
        self.bytes_fed += len(pcm)
        self._changed.set()

    def finish(self, item_id: str, raw: bytes, form: WireFormat) -> None:
        """The utterance is over and belongs to `item_id`; `raw` is its tail as it came."""
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
    with listening.scope:
        try:
            async with stt.transcribe(language=language, prompt=prompt) as utterance:
                item_id = await pass_on(listening, utterance)
                transcript = await utterance.finish()
        except VoicedError as exc:
            log.warning("transcription failed", code=exc.code, error=str(exc))
            return await failure(listening, exc.code, exc.public)
        except Exception:
            log.exception("transcription failed by a fault of ours")
            return await failure(listening, "internal_error", "The server made a mistake.")
        seconds = listening.bytes_fed / (SAMPLE_BYTES * SPEECH_HZ)
        return inp.TranscriptReady(item_id=item_id, text=transcript.text, duration_s=seconds)
    return None


async def pass_on(listening: Listening, utterance: Utterance) -> str:
    """Feed the recogniser until the utterance is claimed; the id of the item that claimed it."""
    while True:
        while listening.audio:
            await utterance.feed(listening.audio.popleft())
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
        await listening.changed()
    return inp.TranscriptFailed(item_id=listening.item_id, code=code, message=message)
