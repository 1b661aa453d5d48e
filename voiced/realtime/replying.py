"""The replies of one session at work: begun, paused, aborted, and told of when they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog
import trio
from msgspec import Struct

from voiced.conversation import inputs as inp
from voiced.conversation.effects import Generate, Prepare
from voiced.errors import EngineError, leaves
from voiced.realtime.preparation import Preparation
from voiced.realtime.reply import Reply, Speaker, question_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.telemetry.tally import Tally
    from voiced.tools.toolbox import ToolContext

log = structlog.get_logger(__name__)

Status = Literal["completed", "failed", "cancelled", "abandoned"]

REPLIES_WAITING = 16
"""Replies handed over and not yet begun: the one task that starts them is never far behind."""


class Awaited(Struct, frozen=True):
    """Since when a reply is waited for, and, where it answers a turn, how much silence lay before
    that: between the end of speech and the end of the turn."""

    since: float
    silence_s: float | None = None


class Order(Struct, frozen=True):
    """A reply to be made, how long it is waited for, for how much of that time its words were to
    come, and what was begun of it in advance."""

    generate: Generate
    awaited: Awaited
    stt_ms: float | None
    preparation: Preparation | None = None


class Replies:
    """Runs each reply in a scope and a task of its own; nothing of it waits."""

    def __init__(self, speaker: Speaker, context: ToolContext, tally: Tally) -> None:
        self._speaker = speaker
        self._context = context
        self._tally = tally
        self._awaited: dict[str, Awaited] = {}
        self._orders: list[Order] = []
        self._preparations: dict[int, Preparation] = {}
        self._begun: list[Preparation] = []
        self._scopes: dict[str, trio.CancelScope] = {}
        self._replies: dict[str, Reply] = {}

    @property
    def count(self) -> int:
        """How many are at work, or wait to be, or for words."""
        return len(self._scopes) + len(self._awaited)

    def expect(self, response_id: str, awaited: Awaited) -> None:
        """A reply will be asked for, or aborted, that is waited for since then."""
        self._awaited[response_id] = awaited

    def add(self, generate: Generate, *, words_came: bool) -> bool:
        """Have a reply made at the next `start`; False where too many wait already.

        `words_came`: until now it was the words that were waited for.
        """
        response_id = generate.response_id
        awaited = self._awaited.pop(response_id)
        preparation = None
        if generate.prepared is not None:
            preparation = self._preparations.pop(generate.prepared, None)
        if len(self._orders) >= REPLIES_WAITING:
            drop(preparation)
            return False
        stt_ms = (trio.current_time() - awaited.since) * 1000 if words_came else None
        self._scopes[response_id] = trio.CancelScope()
        self._orders.append(Order(generate, awaited, stt_ms, preparation))
        return True

    def prepare(self, effect: Prepare) -> None:
        """Have the model asked at the next `start`, for a reply that may be asked for."""
        question = question_of(effect.messages, effect.options)
        preparation = Preparation(question, self._speaker.llm, self._speaker.toolbox)
        self._preparations[effect.revision] = preparation
        self._begun.append(preparation)

    def drop_prepared(self, revision: int) -> None:
        """That reply will not be asked for."""
        drop(self._preparations.pop(revision, None))

    def abort(self, response_id: str, reason: str) -> None:
        """Stop that reply, and the engines that work on it, if it is still at work."""
        self._awaited.pop(response_id, None)
        scope = self._scopes.pop(response_id, None)
        if scope is not None:
            scope.cancel(reason=reason)

    def pause(self, response_id: str) -> None:
        """Send no more audio of that reply, which is being heard."""
        self._replies[response_id].pause()

    def resume(self, response_id: str) -> None:
        """Go on with that reply, if there is anything left of it."""
        reply = self._replies.get(response_id)
        if reply is not None:
            reply.resume()

    def start(self, nursery: trio.Nursery, apply: Callable[[inp.Input], None]) -> None:
        """Start all that wait in `nursery`. What comes of them goes in through `apply`."""
        while self._begun:
            nursery.start_soon(self._begun.pop(0).run)
        while self._orders:
            nursery.start_soon(self._reply, self._orders.pop(0), apply)

    async def _reply(self, order: Order, apply: Callable[[inp.Input], None]) -> None:
        response_id = order.generate.response_id
        scope = self._scopes.get(response_id)
        if scope is None:
            drop(order.preparation)
            return  # cancelled before it began
        begun, since = order.preparation, order.awaited.since
        reply = Reply(order.generate, self._speaker, self._context, apply, since, begun)
        if order.stt_ms is not None:
            reply.timing_ms["stt"] = round(order.stt_ms, 2)
        self._replies[response_id] = reply
        status: Status = "abandoned"  # the session has ended, as where the client has left
        try:
            with scope:
                status = await self._run(reply, response_id, apply)
            if scope.cancelled_caught:
                status = "cancelled"
        finally:
            drop(order.preparation)
            self._scopes.pop(response_id, None)
            del self._replies[response_id]
            self._tally.short_replies += reply.is_shortened
            self._tally.answered(reply.timing_ms, order.awaited.silence_s)
            log.info(
                "finished response",
                response=response_id,
                status=status,
                prepared=order.preparation is not None,
                **{f"{stage}_ms": value for stage, value in reply.timing_ms.items()},
            )

    async def _run(
        self, reply: Reply, response_id: str, apply: Callable[[inp.Input], None]
    ) -> Literal["completed", "failed"]:
        """Run it; what fails is logged and told to the conversation."""
        try:
            await reply.run()
        except* EngineError as group:
            error = leaves(group)[0]
            log.warning("response failed", response=response_id, code=error.code)
            apply(failure(response_id, error.code, error.public))
        except* Exception:
            log.exception("response failed by a fault of ours", response=response_id)
            apply(failure(response_id, "internal_error", "The server made a mistake."))
        else:
            return "completed"
        return "failed"


def drop(preparation: Preparation | None) -> None:
    """Let go of what was begun in advance, if anything was."""
    if preparation is not None:
        preparation.drop("the reply is over, or not wanted")


def failure(response_id: str, code: str, message: str) -> inp.ReplyFailed:
    """What the conversation is told of a reply that failed."""
    return inp.ReplyFailed(response_id=response_id, code=code, message=message)
