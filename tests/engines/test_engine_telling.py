"""What those who watch the daemon learn of its engines, and of servers that are used as engines."""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from tests.engines.host_helpers import running_host, spec_for
from tests.telemetry.watching import watching
from voiced.engines.http.provider import open_provider
from voiced.engines.lineup import Lineup
from voiced.engines.spec import HostPolicy
from voiced.errors import EngineBusy, ProviderFailed
from voiced.inspector import Inspector
from voiced.settings import Provider
from voiced.telemetry.insights import Insights
from voiced.telling import serve_figures, tell_of_engines
from voiced.tools.toolbox import Toolbox

POLICY = HostPolicy(backoff_first_s=0.01, stop_s=0.2, queue_size=1)


def tell(insights: Insights, lineup: Lineup) -> None:
    tell_of_engines(insights, Inspector([lineup], None, Toolbox(())), [lineup])


async def test_an_engine_that_is_killed_is_told_of_until_it_works_again() -> None:
    insights = Insights()
    async with running_host(spec_for("Obliging"), POLICY) as host:
        tell(insights, Lineup(kind="llm", host=host))
        async with watching(insights) as seen, host.request("echo", {}) as call:
            await call.result()
            assert host.pid is not None
            os.kill(host.pid, signal.SIGKILL)
            await seen.until("plugin_status", lambda told: told["restarts"] == 1)
            ready = await seen.until(
                "plugin_status", lambda told: told["state"] == "ready" and told["restarts"] == 1
            )
    states = [told["state"] for told in seen.payloads("plugin_status")]
    assert states[0] == "ready"  # how it was when somebody came
    assert "restarting" in states
    assert ready["reason"] is None
    assert ready["timings"]["whole"]["count"] == 1
    (error,) = seen.payloads("error")
    assert (error["code"], error["subject"]) == ("engine_ended", "llm.obliging")
    assert "signal 9" in error["message"]


async def test_an_engine_does_not_end_for_who_is_told_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    insights = Insights()

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(insights, "plugin_status", fail)
    monkeypatch.setattr(insights, "error", fail)
    async with running_host(spec_for("Obliging"), POLICY) as host:
        tell(insights, Lineup(kind="llm", host=host))
        with insights.watch(), capture_logs() as logged:
            assert host.pid is not None
            os.kill(host.pid, signal.SIGKILL)
            while await host.wait_change() != "ready":
                pass
            async with host.request("echo", {}) as call:
                await call.result()
    told = [line["event"] for line in logged if line["log_level"] == "error"]
    assert set(told) == {"those who watch were not told"}


async def test_a_full_queue_is_a_warning() -> None:
    insights = Insights()
    async with running_host(spec_for("Obliging"), POLICY) as host:
        tell(insights, Lineup(kind="llm", host=host))
        async with watching(insights) as seen:
            calls = [host.submit("begin", {}) for _ in range(host.free_slots + 1)]
            with pytest.raises(EngineBusy):
                host.submit("begin", {})
            warning = await seen.until("warning", lambda told: told["code"] == EngineBusy.code)
            for call in calls:
                call.close()
    assert warning["subject"] == "llm.obliging"


async def test_a_server_that_fails_is_told_of_and_that_it_works_again() -> None:
    insights = Insights()
    nobody = Provider(url="http://127.0.0.1:9/v1", name="box")  # discard: nothing listens there
    async with open_provider("stt", nobody, "stt.providers, number 1") as provider:
        provider.note_success()
        tell(insights, Lineup(kind="stt", host=None, providers=(provider,)))
        async with watching(insights) as seen:
            for _ in range(5):
                provider.note_failure(ProviderFailed("no answer"), look_refutes=True)
            await seen.until("plugin_status", lambda told: told["state"] == "open")
            warning = await seen.until("warning", lambda told: told["code"] == "provider_failed")
            provider.note_success()

            def again(told: dict[str, Any]) -> bool:
                return bool(told["state"] == "ready" and seen.messages[-1]["payload"] is told)

            works = await seen.until("plugin_status", again)
    assert works["reason"] is None
    assert warning["subject"] == "stt.box"
    assert "no answer" in warning["message"]


async def test_figures_that_change_are_told_and_only_those() -> None:
    insights = Insights()
    async with running_host(spec_for("Obliging"), POLICY) as host, trio.open_nursery() as nursery:
        inspector = Inspector([Lineup(kind="llm", host=host)], None, Toolbox(()))
        nursery.start_soon(serve_figures, insights, inspector, 0.001)
        async with watching(insights) as seen:
            for count in (1, 2):
                async with host.request("echo", {}) as call:
                    await call.result()

                def counted(told: dict[str, Any], count: int = count) -> bool:
                    whole = told["timings"].get("whole")
                    return whole is not None and whole["count"] == count

                await seen.until("plugin_status", counted)
            told = seen.payloads("plugin_status")
        assert all(one != two for one, two in itertools.pairwise(told))
        nursery.cancel_scope.cancel(reason="the test is over")
