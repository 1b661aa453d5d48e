"""The invariants of the design, checked on each step of a running session.

The session's owner calls `violations` after every step, logs what it finds and feeds
`ReplyFailed` for the response concerned: a mistake in the core costs one answer, not the
daemon. Independent of how `step` works: it looks at the states around the step and at what a
client is about to see. Each module here looks at one subject.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.conversation import events as ev
from voiced.conversation.checks.context import ContextChecks
from voiced.conversation.checks.foresight import ForesightChecks
from voiced.conversation.checks.items import ItemChecks
from voiced.conversation.checks.responses import ResponseChecks
from voiced.conversation.checks.step import Step, Violation, name
from voiced.conversation.checks.summary import SummaryChecks
from voiced.conversation.checks.turns import TurnChecks
from voiced.conversation.effects import Effect, Emit, KeepAudio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiced.conversation.items import Entry
    from voiced.conversation.state import ActiveResponse, State

__all__ = ["Violation", "violations"]


def violations(before: State, after: State, effects: Sequence[Effect]) -> list[Violation]:
    """What is wrong with the step from `before` to `after`; empty for a sound one.

    A step that only passes on audio or text costs microseconds; one that moves items or asks
    for a reply grows with the history.
    """
    if 1 <= len(effects) <= 2 and len(before.responses) == len(after.responses):
        if is_sound_delta(after, effects):
            return []
    elif not effects and before.responses is after.responses:
        return []
    return inspect(Step(before, after), effects)


def is_sound_delta(after: State, effects: Sequence[Effect]) -> bool:
    """Whether these are the effects of passing on audio, and right: nearly all steps are."""
    effect = effects[0]
    if not (type(effect) is Emit and type(effect.event) is ev.OutputAudioDelta):
        return False
    delta = effect.event
    for response in after.responses:
        if response.id == delta.response_id:
            entry = response.message
            if entry is not None and entry.item.id == delta.item_id:
                return kept_as_sent(response, entry, delta, effects)
    return False


def kept_as_sent(
    response: ActiveResponse, entry: Entry, delta: ev.OutputAudioDelta, effects: Sequence[Effect]
) -> bool:
    """Whether the audio of one delta is kept exactly if the item is in the conversation, whole."""
    if response.conversation_id is None or entry.heard_ms is not None:
        return len(effects) == 1
    kept = effects[-1]
    return type(kept) is KeepAudio and kept.item_id == entry.item.id and kept.audio is delta.delta


def inspect(step: Step, effects: Sequence[Effect]) -> list[Violation]:
    """Follow the effects in order, then compare with the state they are said to lead to."""
    # The first of them keeps account of which responses live; the others look at that.
    all_checks = (
        ResponseChecks(step),
        TurnChecks(step),
        ItemChecks(step),
        ContextChecks(step),
        ForesightChecks(step),
        SummaryChecks(step),
    )
    for effect in effects:
        if isinstance(effect, Emit) and is_stray(step, effect.event):
            continue
        for checks in all_checks:
            checks.follow(effect)
    for checks in all_checks:
        checks.compare()
    return step.found


def is_stray(step: Step, event: ev.ServerEvent) -> bool:
    """Report an event of a response that is over, or never was."""
    response_id = getattr(event, "response_id", None)
    if response_id is None or response_id in step.alive:
        return False
    step.report(4, f"{name(event)} outside of its response", response_id)
    return True
