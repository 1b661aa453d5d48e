"""One step of the core as its client sees it: what the checks of all subjects share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

from voiced.conversation.effects import Effect, Emit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voiced.conversation import events as ev
    from voiced.conversation.state import State

    Follow = Mapping[type[Any], Callable[[Any, Any], None]]


class Violation(Struct, frozen=True):
    """One broken invariant, by its number in the design.

    `response_id` names the response to fail, where one is concerned; it may be over already.
    `message` is for the log and holds no text of the conversation.
    """

    invariant: int
    message: str
    response_id: str | None = None


class Step:
    """A step from `before` to `after`, and what is known of it as its effects are followed.

    `alive` are the responses between created and done, `default` those of them in the
    conversation, `unstored` the items of the user that are committed and not yet stored.
    """

    def __init__(self, before: State, after: State) -> None:
        self.before, self.after = before, after
        self.found: list[Violation] = []
        self.alive = {r.id: None for r in before.responses}
        self.default = {r.id for r in before.responses if r.conversation_id is not None}
        self.unstored: set[str] = set()

    def report(self, invariant: int, message: str, response_id: str | None = None) -> None:
        """Something is wrong."""
        self.found.append(Violation(invariant, message, response_id))

    def owner(self, item_id: str) -> str | None:
        """The response whose item that is; else the one in the conversation."""
        for response in self.after.responses:
            if response.output(item_id) is not None:
                return response.id
        return self.answer

    @property
    def answer(self) -> str | None:
        """The response in the conversation, while there is one."""
        return next(iter(self.default), None)


class Checks:
    """Base of the checks of one subject. `FOLLOW` names what is done for each kind of event or
    other effect."""

    FOLLOW: ClassVar[Follow] = {}

    def __init__(self, step: Step) -> None:
        self.step = step

    def follow(self, effect: Effect) -> None:
        """Take in one effect, in its order."""
        what = effect.event if isinstance(effect, Emit) else effect
        handler = self.FOLLOW.get(type(what))
        if handler is not None:
            handler(self, what)

    def compare(self) -> None:
        """Hold what was followed against the state after the step."""


def name(event: ev.ServerEvent) -> str:
    """The event's type on the wire."""
    return str(event.__struct_config__.tag)
