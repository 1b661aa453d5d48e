"""Hosts over real child processes that behave, misbehave, hang and die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from structlog.testing import capture_logs

from tests.engines.host_helpers import children, running_host, spec_for, wait_gone
from tests.patience import CEILING_S
from voiced.engines.host import EngineHost
from voiced.engines.owner import request_owner
from voiced.engines.ports import Priority
from voiced.engines.spec import HostPolicy
from voiced.errors import (
    EngineBusy,
    EngineCrashed,
    EngineFailed,
    EnginePreempted,
    EngineUnavailable,
    ModelError,
    SettingsError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.engines.call import Call

OBLIGING = spec_for("Obliging")
# For an engine that has to be found out. What it has to answer in stays long: a machine that
# stood still for a moment must not look like an engine that does.
QUICK = HostPolicy(ping_s=0.05, backoff_first_s=0.01, stop_s=0.2)
IMPATIENT = msgspec.structs.replace(QUICK, pong_s=1.5)


async def ask(host: EngineHost, op: str, **params: object) -> dict[str, Any]:
    async with host.request(op, params) as call:
        return dict(await call.result())


async def begun(call: Call) -> None:
    """Return when the engine has begun with the request."""
    assert await anext(call) == {"begun": True}


async def send_for_ever(call: Call) -> None:
    while True:
        await call.send_audio(bytes(100_000))


# -- requests


async def test_parts_come_in_order_and_then_the_result() -> None:
    async with running_host(OBLIGING) as host, host.request("count", {"parts": 300}) as call:
        assert [part["number"] async for part in call] == list(range(300))
        assert await call.result() == {"counted": 300}


async def test_audio_streams_into_a_running_request() -> None:
    async with running_host(OBLIGING) as host, host.request("listen", {}) as call:
        for number in range(50):
            await call.send_audio(bytes([number]) * 640)
        call.end_audio()
        heard = (await call.result())["heard"]
    assert heard == b"".join(bytes([number]) * 640 for number in range(50))


async def test_more_audio_than_a_pipe_holds_arrives_whole() -> None:
    pcm = os.urandom(3_000_001)
    async with running_host(OBLIGING) as host, host.request("listen", {}) as call:
        await call.send_audio(pcm)
        call.end_audio()
        assert (await call.result())["heard"] == pcm


async def test_audio_sent_while_waiting_for_a_slot_is_not_lost() -> None:
    async with (
        running_host(OBLIGING) as host,
        host.request("begin", {}) as holder,
        host.request("listen", {}) as call,
    ):
        await begun(holder)
        await call.send_audio(b"early")
        call.end_audio()
        assert host.queue_depth == 1
        holder.end_audio()
        assert (await call.result())["heard"] == b"early"


async def test_leaving_the_context_frees_the_engine_for_the_next() -> None:
    async with running_host(OBLIGING) as host:
        pid = host.pid
        async with host.request("hooked", {}) as call:
            await begun(call)
        assert await ask(host, "echo", x=1) == {"echo": {"x": 1}}
        assert host.pid == pid, "a cancel that is acknowledged costs no restart"


async def test_cancelling_the_caller_in_the_middle_frees_the_engine() -> None:
    async with running_host(OBLIGING) as host:
        pid = host.pid
        with trio.CancelScope() as scope:
            async with host.request("hooked", {}) as call:
                await begun(call)
                scope.cancel("the caller has left")
                await call.result()
        assert scope.cancelled_caught
        assert await ask(host, "echo", x=2) == {"echo": {"x": 2}}
        assert host.pid == pid


async def test_closing_twice_is_harmless() -> None:
    async with running_host(OBLIGING) as host:
        call = host.submit("echo", {})
        await call.result()
        call.close()
        call.close()


async def test_as_many_requests_run_at_once_as_the_engine_says() -> None:
    async with running_host(spec_for("Obliging", {"concurrency": 3})) as host:
        calls = [host.submit("begin", {}) for _ in range(4)]
        for call in calls[:3]:
            await begun(call)
        assert (host.running, host.queue_depth, host.free_slots) == (3, 1, 0)
        calls[1].end_audio()
        await begun(calls[3])
        for call in calls:
            call.close()


async def test_a_full_queue_is_a_refusal() -> None:
    async with (
        running_host(OBLIGING, HostPolicy(queue_size=1)) as host,
        host.request("begin", {}) as holder,
        host.request("echo", {}),
    ):
        await begun(holder)
        with pytest.raises(EngineBusy):
            host.submit("echo", {})


async def test_sessions_take_turns_at_an_engine() -> None:
    served: list[str] = []

    async def converse(name: str, requests: int) -> None:
        request_owner.set(name)
        async with trio.open_nursery() as session:
            for _ in range(requests):
                session.start_soon(reply, name)

    async def reply(name: str) -> None:
        await ask(host, "echo")
        served.append(name)

    async with running_host(OBLIGING) as host, host.request("begin", {}) as holder:
        await begun(holder)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(converse, "many", 16)
            while host.queue_depth < 16:
                await trio.lowlevel.checkpoint()
            nursery.start_soon(converse, "one", 1)
            while host.queue_depth < 17:
                await trio.lowlevel.checkpoint()
            holder.end_audio()
    assert served.index("one") <= 1


async def test_conversation_displaces_a_job() -> None:
    async with running_host(OBLIGING) as host:
        async with host.request("hooked", {}, Priority.JOB) as job:
            await begun(job)
            assert await ask(host, "echo", x=3) == {"echo": {"x": 3}}
            with pytest.raises(EnginePreempted):
                await job.result()
        assert host.restarts == 0


async def test_a_displaced_job_that_may_be_repeated_is_done_after_all() -> None:
    async with (
        running_host(OBLIGING) as host,
        host.request("listen", {}, Priority.JOB, requeue=True) as job,
    ):
        await job.send_audio(b"one ")
        assert await ask(host, "echo") == {"echo": {}}
        await job.send_audio(b"two")
        job.end_audio()
        assert (await job.result())["heard"] == b"one two"


async def test_an_owner_who_does_not_read_fails_alone() -> None:
    async with running_host(spec_for("Obliging", {"concurrency": 2})) as host:
        async with host.request("count", {"parts": 5000}) as slow:
            with pytest.raises(EngineFailed):
                await slow.result()
            assert await ask(host, "echo") == {"echo": {}}
        assert host.restarts == 0


async def test_errors_of_the_engine_are_public_text_and_their_place_is_logged() -> None:
    with capture_logs() as logs:
        async with running_host(OBLIGING) as host:
            with pytest.raises(EngineFailed) as private:
                await ask(host, "raise_private")
            with pytest.raises(EngineFailed) as typed:
                await ask(host, "raise_typed")
    assert "/private" not in str(private.value) + private.value.public
    assert typed.value.public == "it is bad"
    lines = [entry["line"] for entry in logs if entry["event"] == "engine says"]
    assert any("ValueError at" in line and line.endswith(" raise_private") for line in lines)
    assert "/private/path is bad" in lines


@pytest.mark.parametrize("op", ["raise_quoting", "raise_in_thread", "raise_and_leave"])
async def test_what_was_said_is_in_no_log_but_debug(op: str) -> None:
    """An engine's exception may quote what it was given."""
    with capture_logs() as logs:
        async with running_host(OBLIGING, QUICK) as host:
            with contextlib.suppress(EngineFailed, EngineCrashed):
                await ask(host, op, text="my bank pin")
            assert await ask(host, "echo") == {"echo": {}}
    quoting = [entry for entry in logs if "pin" in str(entry)]
    assert {entry["log_level"] for entry in quoting} == {"debug"}
    warnings = [
        entry["line"] for entry in logs if entry["log_level"] == "warning" and "line" in entry
    ]
    if op != "raise_and_leave":
        (warning,) = warnings
        assert warning.startswith("ValueError at ")
        assert "; caused by KeyError at " in warning
        assert "fault_engines.py:" in warning


async def test_what_a_library_prints_goes_to_the_log_and_not_into_the_frames() -> None:
    with capture_logs() as logs:
        async with running_host(OBLIGING) as host:
            assert await ask(host, "print_natively") == {"stdin": b""}
    said = {entry["line"]: entry["log_level"] for entry in logs if "line" in entry}
    assert said == {"printed by a library": "warning", "printed by Python": "info"}


# -- starting


@pytest.mark.parametrize(
    ("engine", "error", "text"),
    [
        ("WithoutModel", ModelError, "llm.withoutmodel: /models/small.bin: no such file"),
        ("WithBadOptions", SettingsError, "llm.withbadoptions: llm.sentences: line 3: no such"),
        ("Raising", ModelError, "llm.raising: RuntimeError: bad magic in header"),
        ("Leaving", ModelError, "exited with status 3; its last words: cannot go on"),
        ("NotThere", ModelError, "has no attribute 'NotThere'"),
    ],
)
async def test_what_cannot_load_fails_the_start_with_one_line(
    engine: str, error: type[Exception], text: str
) -> None:
    before = children()
    async with trio.open_nursery() as nursery:
        with pytest.raises(error) as caught:
            await nursery.start(EngineHost(spec_for(engine)).serve)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert children() <= before


async def test_an_engine_that_loads_forever_fails_the_start() -> None:
    before = children()
    async with trio.open_nursery() as nursery:
        with pytest.raises(ModelError, match=r"not ready after 0\.3 s"):
            await nursery.start(EngineHost(spec_for("Hanging"), HostPolicy(load_s=0.3)).serve)
    assert children() <= before


async def test_cancelling_the_start_leaves_nothing() -> None:
    before = children()
    host = EngineHost(spec_for("Hanging"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.serve)
        # The process is made in a thread, for which `wait_all_tasks_blocked` does not wait.
        with trio.fail_after(CEILING_S):
            while children() <= before:
                await trio.lowlevel.checkpoint()
        assert host.state == "starting"
        nursery.cancel_scope.cancel("no longer wanted")
    assert children() <= before


async def test_a_host_that_does_not_run_refuses() -> None:
    with pytest.raises(EngineUnavailable):
        EngineHost(OBLIGING).submit("echo", {})


# -- crashes and hangs


@pytest.mark.parametrize("op", ["leave", "segfault", "garble"])
async def test_a_crash_fails_its_request_and_the_next_one_works(op: str) -> None:
    async with running_host(OBLIGING, QUICK) as host:
        with pytest.raises(EngineCrashed):
            await ask(host, op)
        assert await ask(host, "echo", x=4) == {"echo": {"x": 4}}
        assert host.restarts == 1


async def test_sigkill_in_the_middle_fails_that_request_only() -> None:
    async with (
        running_host(OBLIGING, QUICK) as host,
        host.request("begin", {}) as call,
        host.request("echo", {"x": 5}) as waiting,
    ):
        await begun(call)
        assert host.pid is not None
        os.kill(host.pid, signal.SIGKILL)
        with pytest.raises(EngineCrashed):
            await call.result()
        assert await waiting.result() == {"echo": {"x": 5}}


async def test_a_stopped_child_is_found_by_ping_and_replaced() -> None:
    async with running_host(OBLIGING, IMPATIENT) as host:
        assert host.pid is not None
        os.kill(host.pid, signal.SIGSTOP)
        assert await host.wait_change() == "restarting"
        assert await ask(host, "echo") == {"echo": {}}


async def test_a_busy_engine_answers_pings_and_is_left_alone() -> None:
    alive = trio.Event()
    answers = 0

    def on_alive() -> None:
        nonlocal answers
        answers += 1
        if answers > 8:
            alive.set()

    async with (
        running_host(OBLIGING, QUICK, on_alive=on_alive) as host,
        host.request("deaf", {}) as call,
    ):
        await begun(call)
        answers = 0
        await alive.wait()
        assert host.restarts == 0


async def test_a_child_that_stops_reading_does_not_hold_up_its_host() -> None:
    async with running_host(OBLIGING, IMPATIENT) as host, host.request("listen", {}) as call:
        await call.send_audio(b"x")
        assert host.pid is not None
        os.kill(host.pid, signal.SIGSTOP)
        with pytest.raises(EngineCrashed):
            await send_for_ever(call)


async def test_a_cancel_that_is_not_acknowledged_costs_the_engine_its_life() -> None:
    policy = msgspec.structs.replace(QUICK, grace_s=0.1)
    with capture_logs() as logs:
        async with running_host(OBLIGING, policy) as host:
            async with host.request("deaf", {}) as call:
                await begun(call)
            assert await host.wait_change() == "restarting"
            assert await ask(host, "echo") == {"echo": {}}
    reasons = [entry["reason"] for entry in logs if entry["event"] == "engine ended"]
    assert "did not acknowledge a cancel" in reasons[0]


async def test_a_request_that_stands_still_is_taken_for_hung() -> None:
    policy = msgspec.structs.replace(QUICK, stall_s=0.2)
    async with running_host(OBLIGING, policy) as host:
        with pytest.raises(EngineCrashed):
            await ask(host, "deaf")


async def test_what_an_engine_has_started_goes_with_it() -> None:
    async with running_host(OBLIGING, QUICK) as host:
        grandchild = (await ask(host, "start_grandchild"))["pid"]
        with pytest.raises(EngineCrashed):
            await ask(host, "leave")
        await wait_gone(grandchild)


async def test_only_conversation_waits_for_a_restart_and_not_for_ever(tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.touch()
    policy = msgspec.structs.replace(QUICK, restart_wait_s=0.1, backoff_first_s=30.0)
    spec = spec_for("LoadsWhileFileExists", {"path": str(present)})
    async with running_host(spec, policy) as host:
        with pytest.raises(EngineCrashed):
            await ask(host, "leave")
        assert await host.wait_change() == "restarting"
        with pytest.raises(EngineUnavailable):
            host.submit("echo", {}, Priority.SPECULATION)
        with pytest.raises(EngineUnavailable):
            await ask(host, "echo")


async def test_the_circuit_opens_refuses_and_closes_after_a_good_trial(tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.touch()
    policy = msgspec.structs.replace(QUICK, failures=3, open_s=0.3)
    spec = spec_for("LoadsWhileFileExists", {"path": str(present)})
    async with running_host(spec, policy) as host:
        present.unlink()
        with pytest.raises(EngineCrashed):
            await ask(host, "leave")
        while await host.wait_change() != "open":
            pass
        with pytest.raises(EngineUnavailable, match="paused"):
            await ask(host, "echo")
        present.touch()
        while await host.wait_change() != "ready":
            pass
        assert await ask(host, "echo") == {"echo": {}}


async def test_a_paused_engine_says_for_how_long_still(tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.touch()
    open_s = 100 * CEILING_S
    policy = msgspec.structs.replace(QUICK, failures=1, open_s=open_s)
    spec = spec_for("LoadsWhileFileExists", {"path": str(present)})
    async with running_host(spec, policy) as host:
        with pytest.raises(EngineCrashed):
            await ask(host, "leave")
        while host.state != "open":
            await host.wait_change()
        waits = []
        for _ in range(2):
            with pytest.raises(EngineUnavailable, match="paused") as caught:
                await ask(host, "echo")
            waits.append(caught.value.retry_after_s or 0.0)
        first, second = waits
        assert open_s - CEILING_S < second < first < open_s


async def test_the_host_shows_life_while_it_has_no_child(tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.touch()
    beaten = trio.Event()
    policy = msgspec.structs.replace(QUICK, backoff_first_s=30.0)
    spec = spec_for("LoadsWhileFileExists", {"path": str(present)})

    hosts: list[EngineHost] = []

    def on_alive() -> None:
        if hosts and hosts[0].pid is None and hosts[0].state == "restarting":
            beaten.set()

    async with running_host(spec, policy, on_alive=on_alive) as host:
        hosts.append(host)
        with pytest.raises(EngineCrashed):
            await ask(host, "leave")
        await beaten.wait()


# -- ending


async def test_stopping_fails_what_runs_and_what_waits() -> None:
    async with running_host(OBLIGING) as host:
        running, waiting = host.submit("begin", {}), host.submit("echo", {})
        await begun(running)
    assert isinstance(running.error, EngineCrashed)
    assert isinstance(waiting.error, EngineUnavailable)


async def test_a_stopped_child_is_ended_at_shut_down() -> None:
    async with running_host(OBLIGING, HostPolicy(stop_s=0.1)) as host:
        assert host.pid is not None
        os.kill(host.pid, signal.SIGSTOP)


PARENT = """
import sys, trio
from voiced.engines.host import EngineHost
from tests.engines.host_helpers import spec_for

async def main():
    host = EngineHost(spec_for("Obliging"))
    async with trio.open_nursery() as nursery:
        await nursery.start(host.serve)
        print(host.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def start_parent() -> subprocess.Popen[str]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PARENT]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, env=environ, text=True)


@pytest.mark.parametrize("state", ["idle", "stopped"])
async def test_children_do_not_outlive_a_parent_that_is_killed(state: str) -> None:
    """A stopped child cannot see the end of its pipe: that one is the kernel's signal alone."""
    with start_parent() as parent:
        assert parent.stdout is not None
        # Skips what the log writes to stdout.
        child = next(int(line) for line in parent.stdout if line.strip().isdigit())
        if state == "stopped":
            os.kill(child, signal.SIGSTOP)
        parent.kill()
        await wait_gone(child)


async def test_a_thousand_requests_and_cancels_leave_nothing_behind() -> None:
    async with running_host(OBLIGING) as host:
        await ask(host, "echo")
        before = (await ask(host, "surroundings"))["fds"]
        mine = len(os.listdir("/proc/self/fd"))
        for _ in range(500):
            assert await ask(host, "echo") == {"echo": {}}
            async with host.request("hooked", {}) as call:
                await begun(call)
        assert (await ask(host, "surroundings"))["fds"] == before
        assert len(os.listdir("/proc/self/fd")) == mine
        assert host.restarts == 0
