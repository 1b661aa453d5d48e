"""What the words said so far decide while somebody speaks.

How long a silence ends the turn, whether a sound that holds up a reply is an interruption, and what
to answer in advance.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Protocol

import trio

from voiced.conversation import inputs as inp
from voiced.realtime.guesser import Guess, Guesser
from voiced.turns.attention import Attention, Move
from voiced.turns.detector import SAMPLES_PER_MS

if TYPE_CHECKING:
    from voiced.engines.ports import Partial
    from voiced.realtime.listening import Listening
    from voiced.realtime.recognitions import Recognitions
    from voiced.settings import TurnDetection as TurnSettings
    from voiced.turns.attention import Manner
    from voiced.turns.detector import TurnDetector


class Ear(Protocol):
    """Who asks, and is told what was decided. None of it waits."""

    def tell(self, event: inp.Input, /) -> None:
        """Something for the session."""

    def dismiss(self) -> None:
        """The sound that held up a reply was nothing."""

    def look_again(self) -> None:
        """The silence that ends the turn may be over by now."""

    def read_along(self, words: str, /) -> None:
        """That was said so far, as far as anybody can know by now."""


class _Nobody:
    """Whom to tell once the session is over."""

    def tell(self, event: inp.Input, /) -> None:
        pass

    def dismiss(self) -> None:
        pass

    def look_again(self) -> None:
        pass

    def read_along(self, words: str, /) -> None:
        pass


class Interim:
    """Asks the recogniser about the utterance that is being spoken, and acts on its answers.

    It sets the silence of `detector`, whose chunks the owner follows it with.
    """

    def __init__(
        self,
        ear: Ear,
        words: Recognitions,
        detector: TurnDetector,
        own: TurnSettings,
    ) -> None:
        self._ear: Ear = ear
        self._words = words
        self._detector = detector
        self._own = own
        self._attention = Attention()
        self._guesser = Guesser(own.speculate_ms * SAMPLES_PER_MS)
        self._onset = 0
        self.hold_until = inf
        """When a sound that holds up a reply has had time enough to become words."""

    @property
    def held(self) -> bool:
        """Whether a reply waits for what the sound that is heard turns out to be."""
        return self._attention.held

    @property
    def guesses(self) -> bool:
        """Whether anything is ever asked in advance."""
        return self._guesser.guesses

    @property
    def withheld_guesses(self) -> int:
        """How often nothing was asked in advance since it is not allowed."""
        return self._guesser.withheld

    def adopt(self, manner: Manner) -> None:
        """Take turns in this manner from now on."""
        self._attention.adopt(manner)
        self._set_silence()

    def begin(self, onset: int) -> None:
        """A turn began with the sound at that sample."""
        self._attention.begin(onset)
        self._guesser.end()
        self._onset = onset

    def hold(self) -> None:
        """What sounds now holds up a reply: find out whether it is meant for us, and say so.

        Decided at the latest when the time for it is over, even if no more audio comes.
        """
        own = self._own
        self._attention.hold(self._onset)
        self._set_silence()
        self.hold_until = trio.current_time() + own.backchannel_ms / 1000 + own.resume_s

    def release(self) -> None:
        """It has been decided; what still sounds is speech like any other."""
        self._attention.release()
        self._set_silence()
        self.hold_until = inf

    def close(self) -> None:
        """Nobody listens any more; its owner is let go of, so that both are freed."""
        self._ear = _Nobody()

    def attend(self) -> None:
        """Let the words so far, where they matter, set how long a silence ends this turn."""
        listening = self._words.current
        if listening is None or not self._detector.speaking:
            return
        now = self._detector.position
        move = self._attention.follow(self._detector.silent_since, now)
        if move in (Move.ASK, Move.ASK_IN_PASSING):
            in_passing = move is Move.ASK_IN_PASSING
            if listening.ask(partial(self._told, listening, now), in_passing=in_passing):
                self._attention.asked(now)
        elif move is not Move.NOTHING:
            self._decide(move)
        self._set_silence()

    def foresee(self) -> None:
        """While somebody is silent for a moment, find out what they have said; see `Guesser`."""
        listening = self._words.current
        if listening is None or not self._detector.speaking or self._attention.held:
            return
        now = self._detector.position
        guess = self._guesser.follow(self._detector.silent_since, now)
        if guess is Guess.DROP:
            self._drop(listening)
        elif guess is Guess.ASK:
            revision = self._guesser.revision + 1
            if listening.ask(partial(self._told_so_far, listening, revision)):
                self._guesser.asked()

    def allow_guesses(self, allowed: bool) -> None:
        """Ask in advance, or stop doing so: what is under way for a turn that may still go on is
        dropped. Of one that is over it is the answer, and stays."""
        self._guesser.allowed = allowed
        listening = self._words.current
        if allowed or listening is None:
            return
        if self._guesser.withdraw() is Guess.DROP:
            self._drop(listening)

    def _drop(self, listening: Listening) -> None:
        listening.forget_early()
        self._ear.tell(inp.GuessDropped(self._guesser.revision))

    def _told_so_far(self, listening: Listening, revision: int, heard: Partial | None) -> None:
        """What the recogniser has heard when the silence was long enough to guess."""
        if not self._guesser.is_current(revision):
            return
        if heard is not None:
            self._guess(revision, heard.text)
            self._read_along(heard, whole=True)
        elif self._words.has_room:
            # It tells nothing before the end; but it has room for another utterance.
            listening.hear_early(partial(self._guess, revision))

    def _guess(self, revision: int, text: str) -> None:
        """Where that is no longer the question, the conversation sees to it."""
        self._ear.tell(inp.TurnGuessed(revision=revision, text=text))

    def _told(self, listening: Listening, asked: int, heard: Partial | None) -> None:
        """The recogniser's answer to a question of that sample."""
        if listening is not self._words.current:
            return
        self._attention.took(asked, self._detector.position)
        text, sentence = (None, None) if heard is None else (heard.text, heard.sentence)
        if heard is not None:
            since = self._detector.silent_since
            self._read_along(heard, whole=since is not None and asked >= since)
        move = self._attention.answered(asked, text, sentence)
        if move is not Move.NOTHING:
            self._decide(move, text or "", at_pause=self._attention.at_pause(asked))
        self._set_silence()
        self._ear.look_again()

    def _read_along(self, heard: Partial, *, whole: bool) -> None:
        """While somebody goes on speaking only what is stable will stay. In a silence it is the
        `whole` that was said, and the transcript if nobody goes on."""
        self._ear.read_along(heard.text if whole else heard.stable)

    def _decide(self, move: Move, text: str = "", *, at_pause: bool = False) -> None:
        """A held sound is an interruption, or it is not."""
        if move is Move.INTERRUPT:
            self._ear.tell(inp.SpeechConfirmed(text))
        # Words that are not taken for an interruption are nothing once nobody speaks any more.
        if self._attention.held and (move is Move.GO_ON or at_pause):
            self._ear.dismiss()

    def _set_silence(self) -> None:
        self._detector.silence_samples = self._attention.silence_samples
