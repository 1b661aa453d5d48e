"""The utterances of one session on their way to text: that being spoken, and those of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.engines.ports import EARLY
from voiced.errors import EngineError
from voiced.realtime.listening import Listening, recognise

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from voiced.audio.formats import WireFormat
    from voiced.conversation import inputs as inp
    from voiced.engines.ports import Stt


class Recognitions:
    """Begun, claimed and dropped without waiting; `start` gives each a task of its own.

    `language` and `prompt` are those of the utterances that begin from now on; `current` is what
    is being spoken, where the recogniser listens to it.
    """

    __slots__ = ("_claimed", "_opened", "_stt", "current", "language", "prompt")

    def __init__(self, stt: Stt, language: str) -> None:
        self._stt = stt
        self.language = language
        self.prompt = ""
        self.current: Listening | None = None
        self._opened: list[Listening] = []
        self._claimed: list[Listening] = []

    @property
    def answers_early(self) -> bool:
        """Whether the recogniser is done sooner when asked as a silence begins."""
        try:
            return EARLY in self._stt.info.capabilities
        except EngineError:
            return False  # it is not ready yet

    @property
    def has_room(self) -> bool:
        """Whether the recogniser works on several utterances at once."""
        try:
            return self._stt.info.concurrency > 1
        except EngineError:
            return False

    @property
    def held_bytes(self) -> int:
        """Audio in memory, what the recogniser keeps of an utterance included."""
        heard = 0 if self.current is None else self.current.bytes_fed
        return heard + sum(one.bytes_fed + len(one.raw) for one in self._claimed)

    def begin(self, speech: bytes, *, keeps: bool = False) -> None:
        """Somebody began to speak, and said that so far: PCM16 at 16 kHz. `keeps`: see
        `Listening`."""
        self.current = Listening(keeps=keeps)
        self.current.add(speech)
        self._opened.append(self.current)

    def claim(
        self, item_id: str, tail: bytes, form: WireFormat, *, by_silence: bool = False
    ) -> bool:
        """What is being spoken is over and belongs to `item_id`, with `tail`, its end as it came.
        `by_silence`: see `Listening.finish`.

        False where nobody listened to it.
        """
        listening, self.current = self.current, None
        if listening is None:
            return False
        self._claimed.append(listening)
        listening.finish(item_id, tail, form, by_silence=by_silence)
        return True

    def take(self, item_id: str, audio: bytes, form: WireFormat) -> None:
        """All of the audio of `item_id` in one piece."""
        listening = Listening()
        self._claimed.append(listening)
        listening.finish(item_id, audio, form)
        self._opened.append(listening)

    def drop(self, reason: str) -> None:
        """What is being spoken is of no interest, if anything is."""
        if self.current is not None:
            self.current.scope.cancel(reason=reason)
            self.current = None

    def start(self, nursery: trio.Nursery, tell: Callable[[inp.Input], None]) -> None:
        """Start all that were opened, in `nursery`; `tell` is given what comes of each item."""
        while self._opened:
            nursery.start_soon(self._recognise, self._opened.pop(0), tell)

    async def _recognise(self, listening: Listening, tell: Callable[[inp.Input], None]) -> None:
        try:
            result = await recognise(listening, self._stt, self.language, self.prompt)
        finally:
            if listening in self._claimed:
                self._claimed.remove(listening)
        if result is not None:
            tell(result)
