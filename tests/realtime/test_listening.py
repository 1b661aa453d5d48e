"""One utterance and its recogniser, where the two get in each other's way."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import trio
import trio.testing

from voiced.realtime.listening import Listening

if TYPE_CHECKING:
    from voiced.engines.ports import Partial, Utterance


class Asked:
    """An utterance that takes any question and answers none."""

    def ask(self) -> bool:
        return True

    async def answer(self) -> Partial | None:
        await trio.sleep_forever()


async def test_a_recogniser_that_fails_as_it_is_asked_is_not_waited_for() -> None:
    listening = Listening()
    told: list[Partial | None] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.answer)
        await trio.testing.wait_all_tasks_blocked()
        assert listening.ask(told.append)
        listening.pose(cast("Utterance", Asked()))
        listening.tell(None)  # as the task that feeds it does when the engine is gone
        await trio.testing.wait_all_tasks_blocked()
        assert told == [None]
        assert listening.ask(told.append), "and the next question finds it free"
        nursery.cancel_scope.cancel(reason="the test is over")
