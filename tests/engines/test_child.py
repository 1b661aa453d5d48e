"""What an engine's process is towards the rest of the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.host_helpers import running_host, spec_for
from tests.patience import CEILING_S
from voiced.engines import wire
from voiced.engines.ports import WorkCancelled
from voiced.engines.process import child_environment
from voiced.engines.spec import NICE
from voiced.engines.work import ChildWork

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = [sys.executable, "-P", "-m", "voiced.engines.child", "llm", "obliging"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A child that is ready, without a host."""
    process = subprocess.Popen(
        CHILD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=child_environment(os.environ, threads=1),
        start_new_session=True,
    )
    assert process.stdin is not None
    with process:
        process.stdin.write(wire.encode(wire.Start(target="tests.engines.fault_engines:Obliging")))
        assert isinstance(receive(process), wire.Ready)
        try:
            yield process
        finally:
            process.kill()


def receive(process: subprocess.Popen[bytes]) -> wire.FromChild:
    assert process.stdout is not None
    reader = wire.host_reader()
    while True:
        data = process.stdout.read(1)  # a byte at a time, to stop behind the frame
        assert data, "the child has ended"
        if messages := reader.feed(data):
            return messages[0]


def send(process: subprocess.Popen[bytes], *messages: wire.ToChild) -> None:
    assert process.stdin is not None
    process.stdin.write(b"".join(wire.encode(message) for message in messages))


def test_it_ends_with_its_request_pipe_whatever_it_does(child: subprocess.Popen[bytes]) -> None:
    send(child, wire.Run(1, "deaf", {}))
    assert receive(child) == wire.Part(1, {"begun": True})
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(CEILING_S) == 0


def test_it_ends_when_told(child: subprocess.Popen[bytes]) -> None:
    send(child, wire.Stop())
    assert child.wait(CEILING_S) == 0


def test_signals_to_the_whole_group_leave_it_to_its_parent(child: subprocess.Popen[bytes]) -> None:
    os.kill(child.pid, signal.SIGTERM)
    os.kill(child.pid, signal.SIGINT)
    send(child, wire.Ping(7))
    assert receive(child) == wire.Pong(7)


def test_it_ends_on_what_is_no_frame(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\xff\xff\xff\xff")
    assert child.wait(CEILING_S) == 70


def test_a_cancel_that_comes_too_late_is_ignored(child: subprocess.Popen[bytes]) -> None:
    send(child, wire.Run(1, "echo", {}))
    assert receive(child) == wire.Done(1, {"echo": {}})
    send(child, wire.Cancel(1), wire.Cancel(99), wire.Run(2, "echo", {}))
    assert receive(child) == wire.Done(2, {"echo": {}})


def test_a_cancel_is_acknowledged_also_by_what_waits_for_audio(
    child: subprocess.Popen[bytes],
) -> None:
    send(child, wire.Run(1, "listen", {}), wire.Audio(1, b"a"), wire.Cancel(1))
    assert receive(child) == wire.Cancelled(1)


def test_it_does_not_begin_under_a_parent_that_is_not_its_own() -> None:
    environ = child_environment(os.environ, threads=1) | {"VOICED_PARENT_PID": "1"}
    ended = subprocess.run(CHILD, stdin=subprocess.PIPE, capture_output=True, env=environ)
    assert ended.returncode == 1


async def test_it_is_named_small_and_gives_way() -> None:
    async with (
        running_host(spec_for("Obliging")) as host,
        host.request("surroundings", {}) as call,
    ):
        found = await call.result()
    assert found["comm"] == "voiced-llm"
    assert found["cmdline"][-3:-1] == [b"llm", b"obliging"]
    assert found["nice"] == os.nice(0) + NICE["llm"]
    # Linux weighs nice levels within a session only, and Ctrl-C goes to a group.
    assert found["session"] == os.getsid(0)
    assert found["group"] == found["pid"]
    heavy = {"trio", "numpy", "asyncio", "structlog", "logging", "subprocess"}
    assert heavy.isdisjoint(found["modules"])


async def test_it_gets_none_of_what_is_meant_for_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private = {
        "NOTIFY_SOCKET": "/run/notify",
        "LISTEN_FDS": "1",
        "WATCHDOG_USEC": "1",
        "VOICED_AUTH__TOKEN": "secret",
        "VOICED_LOG__LEVEL": "debug",
        "CREDENTIALS_DIRECTORY": "/run/credentials",
        "JOURNAL_STREAM": "8:9",
        "INVOCATION_ID": "f00d",
        "FDSTORE": "1",
        "MAINPID": "1",
    }
    for key, value in private.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    async with (
        running_host(spec_for("Obliging")) as host,
        host.request("surroundings", {}) as call,
    ):
        environ = (await call.result())["environ"]
    assert private.keys().isdisjoint(environ)
    assert environ["PATH"] == os.environ["PATH"]
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert environ["OMP_NUM_THREADS"] == "3", "the operator's own limit stays"
    assert 0 < int(environ["GOMP_SPINCOUNT"]) < 10_000
    assert child_environment({"GOMP_SPINCOUNT": "7"}, threads=1)["GOMP_SPINCOUNT"] == "7"
    assert "GOMP_SPINCOUNT" not in child_environment({"OMP_WAIT_POLICY": "ACTIVE"}, threads=1)
    assert environ["OPENBLAS_NUM_THREADS"] == "1", "the engine has the cores"


# -- one request, on two threads


def make_work() -> tuple[ChildWork, list[Any]]:
    sent: list[Any] = []
    return ChildWork(1, "transcribe", {}, sent.append), sent


def test_work_ends_its_audio_for_whoever_waits_for_it() -> None:
    work, _ = make_work()
    heard: list[bytes] = []
    thread = threading.Thread(target=lambda: heard.extend(work.chunks()))
    thread.start()
    work.add_audio(b"a")
    work.add_audio(b"b")
    work.end_audio()
    thread.join(CEILING_S)
    assert heard == [b"a", b"b"]


def test_work_knows_of_the_question_that_waits() -> None:
    work, _ = make_work()
    chunks = work.chunks()
    work.ask()
    assert next(chunks) == b""
    work.add_audio(b"a")
    known = [work.asked_anew]
    work.ask()
    known.append(work.asked_anew)
    assert [next(chunks), next(chunks)] == [b"a", b""]
    assert [*known, work.asked_anew] == [False, True, False]


def test_cancelled_work_says_nothing_more() -> None:
    work, sent = make_work()
    work.emit({"n": 1})
    work.cancel()
    with pytest.raises(WorkCancelled):
        work.emit({"n": 2})
    with pytest.raises(WorkCancelled):
        next(work.chunks())
    assert sent == [wire.Part(1, {"n": 1})]


def test_hooks_run_once_and_at_once_when_it_is_cancelled_already(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work, _ = make_work()
    calls: list[str] = []

    def faulty() -> None:
        raise RuntimeError("quotes what was said")

    work.on_cancel(faulty)
    work.on_cancel(lambda: calls.append("hook"))
    work.cancel()
    work.cancel()
    work.on_cancel(lambda: calls.append("late"))
    assert calls == ["hook", "late"]
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if line[:3] == "<4>")
    assert warning.endswith(" faulty")
    assert "said" not in warning


def test_no_hook_runs_once_the_work_is_closed() -> None:
    """A hook that sets a flag of the engine would stop the request that comes next."""
    work, _ = make_work()
    calls: list[str] = []
    work.on_cancel(lambda: calls.append("hook"))
    work.close()
    work.cancel()
    assert calls == []


def test_closing_waits_for_a_hook_that_is_running() -> None:
    work, _ = make_work()
    entered, leave, order = threading.Event(), threading.Event(), list[str]()

    def hook() -> None:
        entered.set()
        leave.wait(CEILING_S)
        order.append("hook")

    def close() -> None:
        work.close()
        order.append("closed")

    work.on_cancel(hook)
    threads = [threading.Thread(target=work.cancel), threading.Thread(target=close)]
    threads[0].start()
    entered.wait(CEILING_S)
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join(CEILING_S)
    assert order == ["hook", "closed"]


def test_no_child_asks_the_hub_for_models() -> None:
    """Libraries would wait for a network that is not there, or fetch what nobody asked for."""
    assert child_environment({"HF_HUB_OFFLINE": "0"}, threads=1)["HF_HUB_OFFLINE"] == "1"
