"""Carries out what the conversation core asks for: here its effects meet the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog
import trio

from voiced.audio.formats import wire_format
from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.effects import (
    Abort,
    ArmIdle,
    ClaimAudio,
    Close,
    Configure,
    CutAudio,
    DropAudio,
    DropPrepared,
    Effect,
    Emit,
    EndHold,
    ForgetAudio,
    Generate,
    HearAudio,
    HoldReply,
    KeepAudio,
    Prepare,
    StoreItem,
    TellLimits,
)
from voiced.realtime.item_audio import ItemAudio
from voiced.realtime.notices import Notices
from voiced.realtime.outbox import Outbox
from voiced.realtime.pipeline import AudioPipeline
from voiced.realtime.rates import TokenBucket
from voiced.realtime.replying import Awaited, Replies
from voiced.realtime.silence import SilenceTimer
from voiced.realtime.telling import Telling
from voiced.store.history import History
from voiced.telemetry.tally import Tally

if TYPE_CHECKING:
    from voiced.conversation.items import ResponseResource
    from voiced.conversation.state import State

log = structlog.get_logger(__name__)


class Performer(msgspec.Struct, eq=False, kw_only=True):
    """The hands of one session. Never waits; what follows from an effect at once is appended to
    `inputs`, the session's own list."""

    session_id: str
    inputs: list[inp.Input]
    outbox: Outbox
    control: TokenBucket
    events_per_minute: int
    replies: Replies
    pipeline: AudioPipeline
    item_audio: ItemAudio
    silence: SilenceTimer
    notices: Notices
    history: History
    tally: Tally
    telling: Telling
    turn: Awaited = Awaited(0.0)

    def perform(self, effect: Effect, state: State, taking: inp.Input | None) -> bool:
        """One effect of the step that took `taking` and led to `state`. True: there is something
        new for the session's task to begin or to wait for.

        Raises `OutboxFull` for an event that has no room.
        """
        match effect:
            case Emit():
                self._emit(effect.event, state, taking)
            case Prepare():
                self.replies.prepare(effect)
                return True
            case DropPrepared():
                self.replies.drop_prepared(effect.revision)
            case Generate():
                if effect.say is not None:
                    self.notices.begin(effect.response_id, effect.say)
                words_came = isinstance(taking, inp.TranscriptReady)
                if self.replies.add(effect, words_came=words_came):
                    return True
                self._refuse_reply(effect.response_id)
            case Abort():
                self.replies.abort(effect.response_id, effect.reason)
            case HoldReply():
                self.replies.pause(effect.response_id)
                self.pipeline.hold()
            case EndHold():
                self.replies.resume(effect.response_id)
                self.pipeline.release()
            case ArmIdle():
                now = trio.current_time()
                self.silence.arm(effect.milliseconds, self.pipeline.position_ms, now)
                return True
            case ClaimAudio():
                self.turn = Awaited(trio.current_time(), self.pipeline.silence_s)
                audio, form = self.pipeline.claim(effect.item_id, transcribe=effect.transcribe)
                self.item_audio.add(effect.item_id, audio, form)
            case HearAudio() | KeepAudio() | CutAudio() | ForgetAudio():
                self._keep(effect)
            case DropAudio():
                self.pipeline.drop()
            case Configure():
                self.pipeline.configure(effect.config)
            case StoreItem():
                self.history.put(self.session_id, effect.item)
            case TellLimits():
                self.outbox.put(self._limits())
            case Close():
                self.outbox.close(effect)
        return False

    def _emit(self, event: ev.ServerEvent, state: State, taking: inp.Input | None) -> None:
        if isinstance(event, ev.ItemRetrieved):
            item = self.item_audio.put_into(event.item)
            self.outbox.put(ev.ItemRetrieved(item=item), bulky=True)
            return
        if isinstance(event, ev.ErrorEvent):
            log.debug("refused event", code=event.error.code, param=event.error.param)
            self.tally.error("realtime", event.error.code)
        elif isinstance(event, ev.ResponseCreated):
            self.replies.expect(event.response.id, self._awaited(taking))
        self.outbox.put(event)
        self.telling.see(event)
        if isinstance(event, ev.ResponseDone):
            self._count(event.response)
            self.notices.end(
                event.response, self.outbox.number, state.announcements, closed=state.closed
            )

    def _count(self, response: ResponseResource) -> None:
        """A response is over."""
        self.tally.responses[response.status] += 1
        details = response.status_details
        if details is None:
            return
        if details.reason == "turn_detected":
            self.tally.barge_ins += 1
        if details.error is not None:
            self.tally.error("response", details.error.code)

    def _keep(self, effect: HearAudio | KeepAudio | CutAudio | ForgetAudio) -> None:
        """What becomes of the audio of an item that is none of the input buffer's."""
        match effect:
            case HearAudio():
                form = self.pipeline.next_form
                self.item_audio.add(effect.item_id, effect.audio, form)
                if effect.transcribe:
                    self.pipeline.transcribe(effect.item_id, effect.audio, form)
            case KeepAudio():
                self.item_audio.add(effect.item_id, effect.audio, wire_format(effect.format))
            case CutAudio():
                self.item_audio.cut(effect.item_id, effect.end_ms)
            case ForgetAudio():
                self.item_audio.forget(effect.item_id)

    def _awaited(self, taking: inp.Input | None) -> Awaited:
        """The wait for a response that is created now: it began as it was asked for, or as the
        turn that it answers ended."""
        if isinstance(taking, inp.CreateResponse | inp.Announce | inp.IdleTimeout):
            return Awaited(trio.current_time())
        return self.turn

    def _limits(self) -> ev.RateLimitsUpdated:
        remaining, reset_s = self.control.left(trio.current_time())
        requests = ev.RateLimit(
            name="requests",
            limit=self.events_per_minute,
            remaining=remaining,
            reset_seconds=round(reset_s, 3),
        )
        return ev.RateLimitsUpdated(rate_limits=(requests,))

    def _refuse_reply(self, response_id: str) -> None:
        self.inputs.append(
            inp.ReplyFailed(
                response_id=response_id,
                code="too_many_responses",
                message="Too many responses are waiting to begin.",
            )
        )
