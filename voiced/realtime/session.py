"""One conversation at work: the pure core, and everything that its effects ask for.

All inputs go through `Session.apply`, which never waits: steps cannot interleave, nothing can
fill up between the engines and the core, and a cancel takes effect before the next line runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from voiced.conversation import inputs as inp
from voiced.conversation.checks import violations
from voiced.conversation.core import begin, step
from voiced.conversation.effects import Close, Effect
from voiced.conversation.given import given_audio
from voiced.realtime.ahead import open_ahead
from voiced.realtime.detections import own_detections
from voiced.realtime.item_audio import ItemAudio
from voiced.realtime.missed import Missed
from voiced.realtime.notices import Notices
from voiced.realtime.outbox import Outbox, OutboxFull
from voiced.realtime.performer import Performer
from voiced.realtime.pipeline import AudioPipeline
from voiced.realtime.rates import TokenBucket
from voiced.realtime.replying import Replies
from voiced.realtime.silence import SilenceTimer
from voiced.realtime.telling import Telling
from voiced.thermal.level import Level
from voiced.thermal.words import state_of
from voiced.tools.notice import Notice
from voiced.tools.toolbox import ToolContext

if TYPE_CHECKING:
    from voiced.conversation.config import AnySessionConfig
    from voiced.realtime.parts import SessionParts
    from voiced.realtime.wire import Append

log = structlog.get_logger(__name__)

NOT_WHOLE = "Audio must be whole 16-bit samples: an even number of bytes."

CLOSE_SLOW = 1008
CLOSE_FAULT = 1011


class Session:
    """State machine, outbox, audio pipeline and replies of one conversation.

    `run` owns the tasks of its replies and works inside `scope`; `pipeline.run` belongs to the
    audio nursery and works inside `audio_scope`; `end` cancels both. `control` limits the client's
    events, audio apart; its connection takes from it. After a fault the outbox tells the client
    why it closes.
    """

    def __init__(self, config: AnySessionConfig, seed: str, parts: SessionParts) -> None:
        self.id = config.id
        self.scope = trio.CancelScope()
        self.audio_scope = trio.CancelScope()
        self.outbox = Outbox(seed, parts.settings.limits.outbox_bytes)
        limits = parts.settings.limits
        self.control = TokenBucket(
            rate=limits.events_per_minute / 60,
            burst=limits.events_per_minute,
            now=trio.current_time(),
        )
        self._parts = parts
        context = ToolContext(session_id=self.id, language=parts.settings.stt.language)
        self.replies = Replies(parts.speaker, context, parts.tally)
        self._silence = SilenceTimer()
        self._missed = Missed()
        self.notices = Notices()
        self.telling = Telling(self.id, parts.insights)
        self.lost_notice = False
        self._wake = trio.Event()
        self._inputs: list[inp.Input] = []
        self._stepping = False
        self._ended = False
        self._taking: inp.Input | None = None
        kept_bytes = int(parts.settings.session.item_audio_mb * 2**20)
        self.item_audio = ItemAudio(kept_bytes, parts.item_audio)
        self._ahead = open_ahead(parts.settings.llm, parts.speaker, self.apply)
        follows = parts.insights.transcripts or (self._ahead is not None and self._ahead.reads)
        self.pipeline = AudioPipeline(
            vad=parts.vad,
            stt=parts.stt,
            apply=self.apply,
            language=parts.settings.stt.language,
            acoustic_end=parts.settings.vad.acoustic_end,
            most_buffered_s=parts.settings.limits.input_audio_s,
            turns=parts.settings.turn_detection,
            speculates=parts.settings.stt.speculate,
            read_along=self._read_along if follows else None,
        )
        self._performer = Performer(
            session_id=self.id,
            inputs=self._inputs,
            outbox=self.outbox,
            control=self.control,
            events_per_minute=limits.events_per_minute,
            replies=self.replies,
            pipeline=self.pipeline,
            item_audio=self.item_audio,
            silence=self._silence,
            notices=self.notices,
            history=parts.history,
            tally=parts.tally,
            telling=self.telling,
        )
        self._follow_level(parts.heat.level)
        self._state, effects = begin(
            config,
            seed=seed,
            history_items=parts.settings.session.history_items,
            detections=own_detections(parts.settings),
            holds=parts.settings.turn_detection.resume_s > 0,
            foresees=parts.settings.turn_detection.speculate_answer,
        )
        self._perform_all(effects)
        self._look_ahead()

    @property
    def held_bytes(self) -> int:
        """Audio in memory for this session: what came, and that of its items."""
        return self.pipeline.held_bytes + self.item_audio.size_bytes

    @property
    def answers(self) -> bool:
        """Whether somebody speaks here: not in a transcription session."""
        return self._state.config.type == "realtime"

    # -- inputs and effects, never waiting -------------------------------------------------

    def apply(self, event: inp.Input) -> None:
        """Take in one input and carry out what follows from it; nothing once ended."""
        if self._ended:
            return
        self._inputs.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._inputs and not self._ended:
                self._step(self._inputs.pop(0))
        finally:
            self._stepping = False

    def append_audio(self, append: Append) -> None:
        """More audio from the client; refused where it is not whole samples of its format."""
        if len(append.audio) % self.pipeline.form.sample_bytes:
            self._refuse(append.event_id, NOT_WHOLE, "audio")
        else:
            self.pipeline.feed(append.audio)

    def create_item(self, event: inp.CreateItem) -> None:
        """An item from the client; refused where its audio is not as its format has it."""
        audio = given_audio(event.item) or b""
        form = self.pipeline.next_form
        most_s = self._parts.settings.limits.input_audio_s
        if len(audio) % form.sample_bytes:
            self._refuse(event.event_id, NOT_WHOLE, "item.content")
        elif form.duration_ms(len(audio)) > most_s * 1000:
            message = f"An item may have {most_s:g} s of audio at most."
            self._refuse(event.event_id, message, "item.content")
        else:
            self.apply(event)

    def _refuse(self, event_id: str | None, message: str, param: str) -> None:
        self.apply(
            inp.RefuseEvent(event_id=event_id, code="invalid_value", message=message, param=param)
        )

    def commit_audio(self, event_id: str | None) -> None:
        """The client commits the input buffer by hand."""
        self.apply(inp.CommitAudio(event_id=event_id, buffered_ms=self.pipeline.buffered_ms))

    def follow_heat(self) -> None:
        """The level of the heat has changed: work in advance or not, and tell the client."""
        heat = self._parts.heat
        self._follow_level(heat.level)
        self.apply(inp.HeatChanged(state_of(heat)))

    def _follow_level(self, level: Level) -> None:
        self.pipeline.speculate(level < Level.WARM)
        if self._ahead is not None:
            self._ahead.follow_heat(level)

    def announce(self, notice: Notice) -> None:
        """Say something unasked, as soon as nobody speaks; see `Notice` for what comes of it."""
        if self._ended or not self.answers:
            notice.settle(False)
            return

        def settle(heard: bool) -> None:
            notice.settle(heard)
            if not heard and self.answers:
                self._missed.look_again(trio.current_time())
                self._wake.set()

        self.notices.add(Notice(notice.text, settle))
        self.apply(inp.Announce(notice.text))

    def look_for_missed(self) -> None:
        """Something was not heard elsewhere: look for it once somebody had time to go."""
        if self.answers:
            self._missed.look(trio.current_time())
            self._wake.set()

    def fail(self, code: int, reason: str) -> None:
        """End the session for a fault of ours or of the connection.

        Responses under way are closed first, where the core still can.
        """
        try:
            self.apply(inp.ShutDown("session_failed", reason, code))
        except Exception:
            log.exception("core failed at the end")
        self.outbox.close(Close(code, reason))
        self.end(reason)

    def end(self, reason: str) -> None:
        """Cancel all work of the session and ignore what still comes; twice is fine."""
        self._ended = True
        self._inputs.clear()
        self.scope.cancel(reason=reason)
        self.audio_scope.cancel(reason=reason)
        self.pipeline.close()
        self.item_audio.clear()
        self.lost_notice |= self.notices.lose()

    def _step(self, event: inp.Input) -> None:
        now = trio.current_time()
        self._taking = event
        if isinstance(event, inp.ReplyAudio):
            active = self._state.active
            if active is not None and active.id == event.response_id:
                self._silence.play(now, event.duration_ms)
            self.notices.sound(event.response_id)
        elif isinstance(event, inp.TruncateItem | inp.SpeechStarted):
            self._silence.stop_playing(now)
            self._wake.set()
        before = self._state
        self._state, effects = step(before, event)
        for problem in violations(before, self._state, effects):
            log.error(
                "conversation invariant broken",
                invariant=problem.invariant,
                problem=problem.message,
            )
            if problem.response_id is not None:
                self._inputs.append(
                    inp.ReplyFailed(
                        response_id=problem.response_id,
                        code="internal_error",
                        message="The server made a mistake in this response.",
                    )
                )
        self._perform_all(effects)
        self.notices.keep(self._state.announcements)
        self._taking = None
        if self._ahead is not None and isinstance(event, inp.ReplyEnded):
            self._ahead.used_tokens = event.context_tokens
        self._look_ahead(speaking=isinstance(event, inp.SpeechStarted))

    def _look_ahead(self, *, speaking: bool = False) -> None:
        if self._ahead is not None and self.answers:
            self._ahead.look(self._state, speaking=speaking)

    def _read_along(self, words: str) -> None:
        self.telling.overhear(words)
        if self._ahead is not None:
            self._ahead.hear(self._state, words)

    def _perform_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._perform(effect)
            except OutboxFull:
                log.warning("client does not read", outbox_bytes=self.outbox.size_bytes)
                self._parts.tally.outboxes_full += 1
                self.telling.lose_client()
                # What is under way is told to its end, should the client read on after all.
                self.outbox.take_last_words()
                self._perform(effect)
                why = "the client does not read"
                self._inputs.insert(0, inp.ShutDown("session_failed", why, CLOSE_SLOW))

    def _perform(self, effect: Effect) -> None:
        if self._performer.perform(effect, self._state, self._taking):
            self._wake.set()

    # -- tasks -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Start replies as they are asked for, and do what is due, until cancelled or the session
        expires.

        One task waits for all of it: each would cost more memory than the rest of a session.
        """
        began = trio.current_time()
        expires = began + self._parts.settings.session.max_s
        if self.answers:
            self._missed.look(began)
        async with trio.open_nursery() as nursery:
            if self._ahead is not None:
                nursery.start_soon(self._ahead.run)
            while trio.current_time() < expires:
                self.replies.start(nursery, self.apply)
                due = min(expires, self._missed.due, self._silence.due)
                with trio.CancelScope(deadline=due):
                    await self._wake.wait()
                self._wake = trio.Event()
                self._tell_silence()
                self._tell_missed()
            self.apply(inp.Expire())
            await trio.sleep_forever()

    def _tell_silence(self) -> None:
        """Once nobody has spoken for so long, since that place in the input at the earliest."""
        silence = self._silence.over(trio.current_time())
        if silence is not None:
            since_ms, idle_ms = silence
            now_ms = self.pipeline.end_silence()
            self.apply(inp.IdleTimeout(max(since_ms, now_ms - idle_ms), now_ms))

    def _tell_missed(self) -> None:
        """Say what nobody was there to hear, such as a timer that was over during a restart.

        Only to someone who stays: a program that connects for one question expects one answer.
        """
        if self._missed.is_due(trio.current_time()):
            notice = self._parts.take_missed()
            if notice is not None:
                self.announce(notice)
