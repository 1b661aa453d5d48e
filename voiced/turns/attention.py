"""What a listener makes of somebody's speech while it goes on: pure, in samples of the stream.

Two questions are answered with what the recogniser has heard so far. Under `semantic_vad`: how
long must a silence be to end this turn? And while a reply is held, because somebody made a sound:
is that an interruption, or may the reply go on?
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from voiced.audio.pcm import SPEECH_HZ
from voiced.turns.backchannel import is_backchannel
from voiced.turns.judgement import Eagerness, Verdict, judge, silence_ms

SAMPLES_PER_MS = SPEECH_HZ // 1000

ASK_EVERY_MS = 200
"""While a reply is held, the recogniser is asked this often: an answer costs it 0.3 ms."""


ALONG_EVERY_MS = 1_000
ALONG_SHARE = 4
"""Who speaks on is followed this often at most, and so seldom that the recogniser works on that for
a fourth of the time: it must be free when they fall silent."""


class Move(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    ASK = "ask"
    """Ask the recogniser what was said so far."""
    ASK_IN_PASSING = "ask in passing"
    """The same, while somebody speaks on: any other question goes before."""
    INTERRUPT = "interrupt"
    """The held sound is meant for us."""
    GO_ON = "go on"
    """The held sound is nothing: let the reply go on."""


class Manner(Struct, frozen=True, kw_only=True):
    """How a session takes turns. `eagerness` is None where silence alone decides; `pause_ms`
    is the silence that ends a complete sentence, or any turn where silence decides."""

    language: str = "en"
    eagerness: Eagerness | None = None
    pause_ms: int = 200
    backchannel_ms: int = 800
    resume_ms: int = 2_000
    early: bool = False
    """Ask as each silence begins, whatever becomes of the answer: the recogniser is done sooner."""
    along: bool = False
    """Ask now and then while somebody speaks on, too: somebody follows what they say."""


class Attention:
    """Follows one speaker. `follow` after every chunk of a turn, `answered` for every answer."""

    def __init__(self, manner: Manner | None = None) -> None:
        self._manner = manner or Manner()
        self._since: int | None = None
        self._verdict = Verdict.UNCLEAR
        self._asked: int | None = None
        self._began: int | None = None
        self._due_along = 0

    def adopt(self, manner: Manner) -> None:
        """From now on in this manner."""
        self._manner = manner

    @property
    def held(self) -> bool:
        """Whether a reply waits for the outcome."""
        return self._began is not None

    @property
    def silence_samples(self) -> int:
        """The silence that ends the turn, as far as is known. While held, none does."""
        manner = self._manner
        if self.held:
            # By `GO_ON` or `INTERRUPT`, and by neither later than this.
            return (manner.resume_ms + manner.pause_ms) * SAMPLES_PER_MS
        if manner.eagerness is None:
            return manner.pause_ms * SAMPLES_PER_MS
        return silence_ms(self._verdict, manner.eagerness, manner.pause_ms) * SAMPLES_PER_MS

    def begin(self, onset: int = 0) -> None:
        """A turn begins with that sample: nothing is known of it."""
        self._since = self._asked = self._began = None
        self._due_along = onset + ALONG_EVERY_MS * SAMPLES_PER_MS
        self._verdict = Verdict.UNCLEAR

    def hold(self, began: int) -> None:
        """The speech that began at this sample holds up a reply."""
        self._began = began
        self._asked = began

    def release(self) -> None:
        """What was held has been decided."""
        self._began = None

    def follow(self, since: int | None, now: int) -> Move:
        """The speaker has been silent since that sample, or is speaking (None)."""
        if since != self._since:
            self._since = since
            self._verdict = Verdict.UNCLEAR
            if since is not None:
                self._asked = None
        if self._began is not None:
            return self._follow_held(self._began, now)
        if since is None:
            due = self._manner.along and now >= self._due_along
            return Move.ASK_IN_PASSING if due else Move.NOTHING
        if self._verdict is Verdict.COMPLETE:
            return Move.NOTHING
        if self._manner.eagerness is None:
            return Move.ASK if self._manner.early and self._asked is None else Move.NOTHING
        return Move.ASK if self._due(since, now) else Move.NOTHING

    def _follow_held(self, began: int, now: int) -> Move:
        if self._since is None:
            if now - began > self._manner.backchannel_ms * SAMPLES_PER_MS:
                return Move.INTERRUPT
            due = self._asked is None or now - self._asked >= ASK_EVERY_MS * SAMPLES_PER_MS
            return Move.ASK if due else Move.NOTHING
        if now - self._since >= self._manner.resume_ms * SAMPLES_PER_MS:
            return Move.GO_ON
        return Move.ASK if self._due(self._since, now) else Move.NOTHING

    def _due(self, since: int, now: int) -> bool:
        """Whether to ask: once as the silence begins, so that the answer is there in time, and
        once when it is short no more, since a recogniser knows more of a word that is over."""
        return self._asked is None or (
            not self.at_pause(self._asked) and now - since >= self._manner.pause_ms * SAMPLES_PER_MS
        )

    def at_pause(self, asked: int) -> bool:
        """Whether a question of that moment came after the short silence that runs now."""
        pause = self._manner.pause_ms * SAMPLES_PER_MS
        return self._since is not None and asked - self._since >= pause

    def asked(self, now: int) -> None:
        """The recogniser was asked at this sample."""
        self._asked = now
        self.took(now, now)

    def took(self, asked: int, now: int) -> None:
        """The answer to the question of that sample has taken until now, or was asked for now."""
        pause = max(ALONG_EVERY_MS * SAMPLES_PER_MS, ALONG_SHARE * (now - asked))
        self._due_along = asked + pause

    def answered(self, asked: int, text: str | None, sentence: bool | None = None) -> Move:
        """What was heard up to the question of that sample; None: nobody can tell.

        An answer that comes when the speaker goes on already says nothing about the silence.
        """
        if text is not None and self._since is not None and asked >= self._since:
            # Of what is held, too: as an interruption it is a turn like any other.
            self._verdict = judge(text, self._manner.language, sentence=sentence)
        return Move.NOTHING if self._began is None else self._answered_held(asked, text)

    def _answered_held(self, asked: int, text: str | None) -> Move:
        if text is None:
            # Only a recogniser that tells what it hears can tell a cough from a word.
            return Move.INTERRUPT if self.at_pause(asked) else Move.NOTHING
        spoken = any(character.isalnum() for character in text)
        if spoken and not is_backchannel(text, self._manner.language):
            return Move.INTERRUPT
        return Move.GO_ON if self.at_pause(asked) else Move.NOTHING
