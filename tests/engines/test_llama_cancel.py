"""Stopping llama.cpp: in the middle of a prompt and of an answer, and what works afterwards."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
import trio

from tests.engines.host_helpers import running_host
from tests.engines.llama_helpers import (
    Request,
    ask,
    cancelled_while,
    loaded,
    needs_llama,
    user,
)
from tests.models.llama_shapes import Shape, write_random
from tests.patience import CEILING_S
from voiced.engines.clients import EngineLlm
from voiced.engines.ports import Priority, ReplyEnd, TextDelta, WorkCancelled
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.errors import EnginePreempted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voiced.engines.llm.llama import LlamaEngine

pytestmark = needs_llama

SLOW = Shape(layers=4, width=512, inner=1536, heads=8, kv_heads=2, context=4096)
"""Reads a prompt of 2,800 tokens in a second or so."""

LONG = "word " * 2_800
SHORT = "hello"
BATCH = 128


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random(tmp_path_factory.mktemp("models") / "slow.gguf", SLOW)


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[LlamaEngine]:
    with loaded(model, context=4096, batch=BATCH, conversations=1) as engine:
        yield engine


def reply(text: str, *, deaf: bool = False, limit: int = 1000) -> Request:
    return Request(messages=[user(text)], max_output_tokens=limit, deaf=deaf)


def forget(engine: LlamaEngine) -> None:
    """Drive out what is remembered of `LONG`."""
    ask(engine, user("x"), max_output_tokens=1)


def test_a_prompt_is_stopped_in_the_middle(engine: LlamaEngine) -> None:
    forget(engine)
    before = engine.evaluated
    request = reply(LONG)
    assert isinstance(
        cancelled_while(engine, request, lambda: wait_for(engine, before)), WorkCancelled
    )
    assert request.parts == []
    assert engine.evaluated - before < 2700


def wait_for(engine: LlamaEngine, before: int) -> None:
    """Until some of the prompt has been computed."""
    give_up_at = time.monotonic() + CEILING_S
    while engine.evaluated == before:
        assert time.monotonic() < give_up_at
        time.sleep(0.0005)


def test_without_the_hook_the_whole_prompt_is_computed(engine: LlamaEngine) -> None:
    """The control of the test above."""
    forget(engine)
    before = engine.evaluated
    request = reply(LONG, deaf=True)
    assert isinstance(
        cancelled_while(engine, request, lambda: wait_for(engine, before)), WorkCancelled
    )
    assert engine.evaluated - before > 2700


def test_what_was_computed_before_the_stop_is_kept(engine: LlamaEngine) -> None:
    forget(engine)
    before = engine.evaluated
    cancelled_while(engine, reply(LONG), lambda: wait_for(engine, before))
    done = engine.evaluated - before
    _, result = ask(engine, user(LONG), max_output_tokens=1)
    assert result["cached_tokens"] >= done >= BATCH


def test_a_cancel_before_anything_was_computed(engine: LlamaEngine) -> None:
    request = reply(LONG)
    request.cancel()
    with pytest.raises(WorkCancelled):
        engine.run(request)
    assert ask(engine, user(SHORT), max_output_tokens=2)[1]["output_tokens"] == 2


def test_stopped_at_random_moments_it_says_nothing_more_and_answers_as_ever(
    engine: LlamaEngine,
) -> None:
    moments = random.Random(7)
    forget(engine)
    expected = ask(engine, user(SHORT), max_output_tokens=4)[0].text
    for _ in range(25):
        forget(engine)
        request = reply(LONG if moments.random() < 0.5 else SHORT)
        pause = moments.uniform(0.0, 0.15)
        outcome = cancelled_while(engine, request, lambda pause=pause: time.sleep(pause))  # type: ignore[misc]
        assert isinstance(outcome, WorkCancelled)
        assert request.late == 0
        assert ask(engine, user(SHORT), max_output_tokens=4)[0].text == expected


# -- through the daemon's side -----------------------------------------------------------------


def spec(model: Path) -> EngineSpec:
    return EngineSpec(
        kind="llm",
        name="llama",
        target="voiced.engines.llm.llama:LlamaEngine",
        options={
            "model": str(model),
            "temperature": 0.0,
            "tell_time": False,
            "threads": 1,
            "threads_batch": 1,
            "conversations": 1,
        },
    )


async def test_leaving_the_context_stops_the_child_which_serves_the_next(model: Path) -> None:
    async with running_host(spec(model), HostPolicy(grace_s=60.0)) as host:
        llm, pid = EngineLlm(host), host.pid
        for text, wait_s in ((LONG, 0.05), (LONG, 0.3), (SHORT, 0.1)):
            async with llm.reply([user(text)]) as parts:
                with trio.move_on_after(wait_s):
                    async for _ in parts:
                        pass
        said, end = "", None
        async with llm.reply([user(SHORT)], max_output_tokens=3) as parts:
            async for part in parts:
                if isinstance(part, TextDelta):
                    said += part.text
                elif isinstance(part, ReplyEnd):
                    end = part
        assert end is not None
        assert (end.finish, end.output_tokens) == ("length", 3)
        assert host.pid == pid  # not killed and started again


async def test_a_conversation_displaces_reading_ahead_and_what_was_read_stays(model: Path) -> None:
    async with (
        running_host(spec(model), HostPolicy(grace_s=60.0)) as host,
        trio.open_nursery() as n,
    ):
        llm = EngineLlm(host)
        n.start_soon(read_on, llm)
        await trio.sleep(0.2)
        end = None
        async with llm.reply([user(LONG)], max_output_tokens=1) as parts:
            async for part in parts:
                if isinstance(part, ReplyEnd):
                    end = part
        assert end is not None
        assert end.input_tokens > 2700
        n.cancel_scope.cancel()


async def read_on(llm: EngineLlm) -> None:
    try:
        await llm.prefill([user(LONG)], priority=Priority.SPECULATION)
    except EnginePreempted:
        pytest.fail("it is taken up again, not refused")
