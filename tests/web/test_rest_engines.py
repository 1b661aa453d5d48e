"""`/v1/engines`: what each engine, server and tool is, and how it does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest
import trio
from msgspec import UNSET

from tests.engines.host_helpers import running_host, spec_for
from tests.engines.http_peer import answer, http_peer, says
from tests.engines.test_http_llm import ask as ask_llm
from tests.engines.test_http_llm import failure, llm_at
from tests.patience import CEILING_S
from tests.realtime.fakes import FakeToolbox
from tests.web.harness import ask, error_of, get, make_app, running, status_of
from tests.web.test_rest_models import body_of
from voiced.engines.host import EngineHost
from voiced.engines.lineup import Lineup
from voiced.engines.spec import HostPolicy
from voiced.errors import EngineCrashed
from voiced.inspector import Inspector
from voiced.telemetry.memory import MemoryReader, read_pss
from voiced.telemetry.messages import encode, utc_now, wrap
from voiced.turns.silero import SileroState, SileroVad
from voiced.web.inspection import CircuitFacts, EngineFacts, EngineList

if TYPE_CHECKING:
    from voiced.engines.http.provider import Provider
    from voiced.tools.toolbox import Toolbox


def inspector_of(
    host: EngineHost | None = None,
    *providers: Provider,
    assistant: EngineHost | None = None,
    vad: SileroVad | None = None,
) -> Inspector:
    lineup = Lineup(kind="llm", host=host, providers=providers, assistant=assistant)
    return Inspector((lineup,), vad, cast("Toolbox", FakeToolbox()))


def circuit_of(facts: EngineFacts) -> CircuitFacts:
    assert isinstance(facts.circuit, CircuitFacts)
    return facts.circuit


async def test_an_engine_tells_what_it_is_how_it_does_and_what_went_wrong() -> None:
    policy = HostPolicy(backoff_first_s=30.0)
    async with running_host(spec_for("Obliging"), policy) as host:
        inspector = inspector_of(host)
        for _ in range(3):
            async with host.request("count", {"parts": 1}) as call:
                await call.result()
        facts, tool = await inspector.look_closely()
        assert (facts.id, facts.role, facts.version) == ("llm.obliging", "engine", "1")
        assert (facts.state, facts.reason) == ("ready", UNSET)
        assert (facts.queue, facts.running, facts.restarts) == (0, 0, 0)
        assert facts.pid == host.pid
        assert isinstance(facts.memory_bytes, int)
        assert facts.memory_bytes > 2**20
        assert circuit_of(facts) == CircuitFacts(state="closed", failures_in_a_row=0, retry_in_s=0)
        assert [(one.stage, one.priority, one.count) for one in facts.timings] == [
            ("first_part", "conversation", 3),
            ("queue_wait", "conversation", 3),
            ("whole", "conversation", 3),
        ]
        assert all(0 <= one.p50_ms <= one.p95_ms <= one.max_ms for one in facts.timings)
        assert (tool.id, tool.role, tool.description) == (
            "tool.get_time",
            "tool",
            "The time of day.",
        )

        with pytest.raises(EngineCrashed):
            async with host.request("leave", {}) as call:
                await call.result()
        while host.state != "restarting":
            await host.wait_change()
        facts, _ = await inspector.look_closely()
        assert (facts.state, facts.reason) == ("restarting", "restarting after a failure")
        assert facts.failures == {"engine_crashed": 1}
        assert [warning.code for warning in facts.warnings] == ["engine_crashed", "engine_ended"]
        assert circuit_of(facts).state == "failing"
        assert 0 < circuit_of(facts).retry_in_s <= 30
        assert not {"pid", "memory_bytes"} & set(msgspec.to_builtins(facts))


async def test_a_request_under_way_and_one_that_waits_are_seen() -> None:
    async with (
        running_host(spec_for("Obliging")) as host,
        host.request("listen", {}),
        host.request("echo", {}),
    ):
        facts, _ = inspector_of(host).look()
        assert (facts.running, facts.queue) == (1, 1)


async def test_a_server_tells_how_it_does_and_why_it_does_not() -> None:
    faults = [answer(500)] * 5
    async with http_peer(says("Well."), *faults) as peer, llm_at(peer) as (llm, provider):
        inspector = inspector_of(None, provider)
        await ask_llm(llm)
        facts, _ = inspector.look()
        assert (facts.id, facts.role, facts.model) == ("llm.there", "server", "m")
        assert (facts.state, facts.reason, facts.concurrency) == ("ready", UNSET, 16)
        assert {one.stage for one in facts.timings} == {"first_part", "whole"}
        await failure(llm)
        assert inspector.look()[0].state == "failing"
        for _ in faults[1:]:
            await failure(llm)
        facts, _ = inspector.look()
        assert (facts.state, facts.reason) == ("open", "it answered with status 500")
        assert circuit_of(facts).state == "open"
        assert circuit_of(facts).retry_in_s > 0
        assert [(one.code, one.times) for one in facts.warnings] == [("provider_failed", 5)]


async def test_the_assistant_in_front_and_two_servers_of_one_name_are_told_apart() -> None:
    front, behind = EngineHost(spec_for("Obliging")), EngineHost(spec_for("Raising"))
    async with http_peer() as peer, llm_at(peer) as (_, one), llm_at(peer) as (_, other):
        found = inspector_of(behind, one, other, assistant=front).look()
    assert [(facts.id, facts.role) for facts in found[:-1]] == [
        ("llm.obliging", "fast_path"),
        ("llm.there", "server"),
        ("llm.there-2", "server"),
        ("llm.raising", "engine"),
    ]
    assert (found[0].state, found[0].reason, found[0].version) == ("stopped", "stopped", "")


def test_the_vad_is_one_of_them() -> None:
    vad = SileroVad.load()
    facts, _ = inspector_of(vad=vad).look()
    assert (facts.id, facts.role, facts.timings) == ("vad.silero", "built_in", [])
    assert facts.version
    assert facts.model.startswith("silero_vad")
    vad.probabilities(SileroState(), np.zeros(512, np.float32))
    facts, _ = inspector_of(vad=vad).look()
    assert [(one.stage, one.count) for one in facts.timings] == [("whole", 1)]
    assert facts.timings[0].p50_ms > 0


async def test_what_observers_are_told_of_an_engine_can_be_sent() -> None:
    async with running_host(spec_for("Obliging")) as host:
        async with host.request("count", {"parts": 1}) as call:
            await call.result()
        for status in inspector_of(host).statuses():
            encode(wrap(status, utc_now()))
        status, _ = inspector_of(host).statuses()
        assert set(status.timings) == {"first_part", "queue_wait", "whole"}


async def test_one_of_them_is_found_by_its_id_or_its_name() -> None:
    async with running_host(spec_for("Obliging")) as host:
        app = make_app(inspector=inspector_of(host))
        async with running(app=app) as (_, port):
            listed = await ask(port, get("/v1/engines"))
            whole = msgspec.convert(body_of(listed), EngineList)
            assert [facts.id for facts in whole.data] == ["llm.obliging", "tool.get_time"]
            for name in ("llm.obliging", "obliging"):
                found: Any = body_of(await ask(port, get(f"/v1/engines/{name}")))
                assert found["pid"] == host.pid
            missing = await ask(port, get("/v1/engines/llm.nobody"))
    assert status_of(missing) == 404
    assert error_of(missing)["code"] == "engine_not_found"


async def test_a_name_that_several_have_is_refused() -> None:
    async with http_peer() as peer, llm_at(peer) as (_, one), llm_at(peer) as (_, other):
        app = make_app(inspector=inspector_of(None, one, other))
        async with running(app=app) as (_, port):
            several = await ask(port, get("/v1/engines/there"))
            assert status_of(several) == 404
            assert "several" in error_of(several)["message"]
            assert status_of(await ask(port, get("/v1/engines/llm.there-2"))) == 200


async def test_memory_is_looked_at_rarely_and_again_once_a_process_is_another() -> None:
    looked: list[int] = []

    def look(pid: int) -> int | None:
        looked.append(pid)
        return None if pid == 3 else pid * 100

    memory = MemoryReader(look)
    with trio.fail_after(CEILING_S):
        await memory.refresh([1, 3])
        await memory.refresh([1, 3])
        assert looked == [1, 3]
        assert memory.known == {1: 100}
        await memory.refresh([2, 3])
    assert looked == [1, 3, 2, 3]
    assert memory.known == {2: 200}


def test_the_memory_of_a_process_is_read_where_there_is_one() -> None:
    own = read_pss(os.getpid())
    assert own is not None
    assert own > 2**20
    assert read_pss(2**22 + 1) is None
