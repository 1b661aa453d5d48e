"""One utterance and its recogniser, where the two get in each other's way."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio
import trio.testing

from voiced.engines.ports import Partial
from voiced.realtime.listening import Listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.ports import Utterance


class Asked:
    """An utterance that takes any question, and gives the answers that it is given."""

    def __init__(self) -> None:
        self.answers, self._answers = trio.open_memory_channel[Partial](9)
        self.questions = 0

    def ask(self) -> bool:
        self.questions += 1
        return True

    async def answer(self) -> Partial | None:
        return await self._answers.receive()


@asynccontextmanager
async def listened() -> AsyncIterator[tuple[Listening, Asked]]:
    """An utterance whose answers are awaited."""
    listening = Listening()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening.answer)
        await trio.testing.wait_all_tasks_blocked()
        yield listening, Asked()
        nursery.cancel_scope.cancel(reason="the test is over")


def pose(listening: Listening, asked: Asked) -> None:
    listening.pose(cast("Utterance", asked))


async def test_a_recogniser_that_fails_as_it_is_asked_is_not_waited_for() -> None:
    told: list[Partial | None] = []
    async with listened() as (listening, asked):
        assert listening.ask(told.append)
        pose(listening, asked)
        listening.tell(None)  # as the task that feeds it does when the engine is gone
        await trio.testing.wait_all_tasks_blocked()
        assert told == [None]
        assert listening.ask(told.append), "and the next question finds it free"


async def test_a_question_in_passing_gives_way_to_another_and_to_none_of_its_kind() -> None:
    told: list[Partial | None] = []
    passed: list[Partial | None] = []
    async with listened() as (listening, asked):
        assert listening.ask(passed.append, in_passing=True)
        pose(listening, asked)
        assert not listening.ask(passed.append, in_passing=True)
        assert listening.ask(told.append)
        assert not listening.ask(told.append)
        # The answer to the first one has been on its way, before the second was put, and after.
        await asked.answers.send(Partial(text="turn", question=1))
        await trio.testing.wait_all_tasks_blocked()
        pose(listening, asked)
        await asked.answers.send(Partial(text="turn on", question=1))
        await trio.testing.wait_all_tasks_blocked()
        assert not told
        whole = Partial(text="turn on the lamp", question=2)
        await asked.answers.send(whole)
        await trio.testing.wait_all_tasks_blocked()
        assert told == [whole]
        assert not passed
        assert asked.questions == 2
        assert listening.ask(told.append, in_passing=True)


async def test_who_does_not_number_answers_gives_one_for_each_question() -> None:
    told: list[Partial | None] = []
    async with listened() as (listening, asked):
        for number, text in enumerate(("turn", "turn on"), 1):
            assert listening.ask(told.append)
            pose(listening, asked)
            await asked.answers.send(Partial(text=text))
            await trio.testing.wait_all_tasks_blocked()
            assert len(told) == number
