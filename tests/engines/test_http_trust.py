"""Servers that are there, list their models, and do not chat: who is asked, and when again.

Time stands still and is moved on by hand; the sockets are real.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.engines.http_peer import Exchange, HttpPeer, Script, answer, chunk, http_peer, says
from tests.engines.test_http_llm import ask, never_answers, text_of
from voiced.engines.failover import FailoverLlm, Member, Order
from voiced.engines.http.chat import HttpLlm
from voiced.engines.http.provider import CHECK_S, Provider, open_provider
from voiced.errors import EngineError, EngineUnavailable, ProviderFailed
from voiced.settings import ChatProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.ports import Llm

FIRST_S = 10.0


@pytest.fixture
def clock(mock_clock: MockClock) -> MockClock:
    """Stands still."""
    return mock_clock


@asynccontextmanager
async def server(peer: HttpPeer) -> AsyncIterator[tuple[HttpLlm, Provider]]:
    its = ChatProvider(url=peer.url, first_s=FIRST_S)
    async with open_provider("llm", its, "llm.providers, number 1") as provider:
        while not peer.checks:  # the look at the start
            await wait_all_tasks_blocked(0.01)
        await wait_all_tasks_blocked(0.01)
        yield HttpLlm(provider, its), provider


def in_order(*members: tuple[HttpLlm, Provider]) -> FailoverLlm:
    def member(llm: HttpLlm, provider: Provider) -> Member[Llm]:
        return Member(provider.name, llm, lambda: provider.trusted)

    return FailoverLlm(Order("llm", [member(*each) for each in members]))


async def looked_again(peer: HttpPeer, clock: MockClock, after_s: float = CHECK_S) -> None:
    """Let that time pass, and the server be looked at."""
    await wait_all_tasks_blocked(0.01)
    checks = peer.checks
    clock.jump(after_s)
    while peer.checks == checks:
        await wait_all_tasks_blocked(0.01)
    await wait_all_tasks_blocked(0.01)


def trusted(provider: Provider) -> bool:
    """Asked anew each time: mypy takes a property for a constant."""
    return provider.trusted


async def breaks_off(exchange: Exchange) -> None:
    await exchange.break_off()


FAULTS: dict[str, tuple[Script, str]] = {
    "refuses the key": (answer(401), "status 401: it refuses the key"),
    "knows no such model": (answer(404), "status 404: it knows no such path or model"),
    "is broken": (answer(500), "status 500"),
    "breaks off": (breaks_off, "the connection broke"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_who_lists_models_and_does_not_chat_is_asked_less_and_less(
    fault: str, clock: MockClock
) -> None:
    script, reason = FAULTS[fault]
    async with (
        http_peer(script) as bad,
        http_peer(says("I can.")) as good,
        server(bad) as first,
        server(good) as second,
    ):
        llm, provider = in_order(first, second), first[1]
        assert text_of(await ask(llm)) == "I can."
        assert len(bad.asked) == 1
        # It has just failed: nobody else waits for it.
        assert text_of(await ask(llm)) == "I can."
        assert len(bad.asked) == 1
        # Its list of models is there, which tells nothing of its model.
        with capture_logs() as logs:
            await looked_again(bad, clock)
        assert not [log for log in logs if log["event"] == "provider works again"]
        assert reason in provider.trouble
        # It is its turn again, and that was one too many: it is let be for twice as long.
        for asked, pause_s in ((2, CHECK_S), (2, CHECK_S), (3, 0.0)):
            assert text_of(await ask(llm)) == "I can."
            assert len(bad.asked) == asked
            clock.jump(pause_s)
        assert provider.circuit.failures_in_a_row == 3
        assert len(good.asked) == 5


def thinks(**delta: str) -> Script:
    """Shows what it thinks, and comes to no answer."""

    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        await exchange.events(chunk(**delta), done=False)
        await exchange.wait_gone()

    return script


STILL_THINKING = "it was still thinking when its answer was due (first_s)"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (never_answers, "it did not begin to answer in time"),
        (thinks(content="<think>Hm."), STILL_THINKING),
        (thinks(reasoning_content="Hm."), STILL_THINKING),
        (thinks(reasoning="Hm."), STILL_THINKING),
    ],
    ids=["silent", "thinks", "thinks in a field", "thinks in another field"],
)
async def test_who_never_answers_costs_the_deadline_once(
    script: Script, reason: str, clock: MockClock
) -> None:
    async with (
        http_peer(script) as bad,
        http_peer(says("I can.")) as good,
        server(bad) as first,
        server(good) as second,
    ):
        llm = in_order(first, second)
        said: list[str] = []

        async def listen() -> None:
            said.append(text_of(await ask(llm)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            while not bad.asked:
                await wait_all_tasks_blocked(0.01)
            await wait_all_tasks_blocked(0.05)
            assert good.asked == []
            clock.jump(FIRST_S)
        assert said == ["I can."]
        assert first[1].trouble == reason
        began = clock.current_time()
        assert text_of(await ask(llm)) == "I can."
        assert clock.current_time() == began
        assert len(bad.asked) == 1


async def test_an_open_circuit_is_not_closed_by_a_look(clock: MockClock) -> None:
    async with http_peer(answer(500)) as peer, server(peer) as (llm, provider):
        for _ in range(5):
            with pytest.raises(ProviderFailed):
                await ask(llm)
        assert not provider.usable
        await looked_again(peer, clock)
        assert provider.circuit.state == "trial"
        assert provider.trouble
        # One request is the trial.
        with pytest.raises(ProviderFailed):
            await ask(llm)
        with pytest.raises(EngineUnavailable):
            await ask(llm)
        assert len(peer.asked) == 6


async def test_who_chats_again_is_asked_again(clock: MockClock) -> None:
    bad = answer(500)
    async with (
        http_peer(bad, bad, bad, bad, bad, says("Here I am.")) as peer,
        server(peer) as (llm, provider),
    ):
        for _ in range(5):
            with pytest.raises(EngineError):
                await ask(llm)
        await looked_again(peer, clock)
        assert not trusted(provider)  # others go before it, but there are none
        with capture_logs() as logs:
            assert text_of(await ask(llm)) == "Here I am."
        assert [log["event"] for log in logs] == ["provider works again"]
        assert trusted(provider)
        assert provider.trouble == ""
        assert provider.circuit.failures_in_a_row == 0


async def test_what_a_look_has_found_a_look_refutes(clock: MockClock) -> None:
    async with http_peer(says("Yes.")) as peer:
        healthy, peer.healthy = peer.healthy, answer(502)
        async with server(peer) as (_, provider):
            assert provider.trouble == "it answered with status 502"
            assert not trusted(provider)
            peer.healthy = healthy
            await looked_again(peer, clock)
            assert provider.trouble == ""
            assert trusted(provider)


async def test_a_server_that_was_gone_is_trusted_when_it_is_back(clock: MockClock) -> None:
    """Its port refuses the request as it would refuse the look."""
    async with http_peer(says("Yes.")) as peer, server(peer) as (llm, provider):
        provider.note_failure(
            ProviderFailed("it cannot be reached", unreached=True), look_refutes=True
        )
        assert not trusted(provider)
        await looked_again(peer, clock)
        assert trusted(provider)
        assert text_of(await ask(llm)) == "Yes."
