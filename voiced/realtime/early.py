"""A transcript made while a turn may still go on: whole where it does not, else thrown away.

For recognisers that work on many utterances at once and tell nothing before the end, such as those
behind HTTP. The audio so far is given to them as if it were the turn; the turn itself is heard
beside that, as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from voiced.errors import VoicedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voiced.engines.ports import Stt, Transcript

log = structlog.get_logger(__name__)


class Early:
    """One such transcript. `tell` is called with it, in the task of `run`, unless dropped."""

    def __init__(self, audio: Sequence[bytes], tell: Callable[[str], None]) -> None:
        self._audio = tuple(audio)
        self._tell = tell
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._transcript: Transcript | None = None

    async def run(self, stt: Stt, language: str, prompt: str) -> None:
        """Have it transcribed. Raises nothing that the engine does."""
        try:
            with self._scope:
                async with stt.transcribe(language=language, prompt=prompt) as utterance:
                    for pcm in self._audio:
                        await utterance.feed(pcm)
                    self._transcript = await utterance.finish()
        except VoicedError as error:
            log.info("no early transcript", code=error.code, reason=str(error))
        except Exception:
            log.exception("no early transcript by a fault of ours")
        finally:
            self._audio = ()
            self._over.set()
        if self._transcript is not None:
            self._tell(self._transcript.text)

    def drop(self) -> None:
        """Somebody went on speaking."""
        self._transcript = None
        self._scope.cancel(reason="the turn goes on")

    async def result(self) -> Transcript | None:
        """Wait for it; None where it came to nothing."""
        await self._over.wait()
        return self._transcript
