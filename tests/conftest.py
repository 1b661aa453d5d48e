"""What holds for every test: it leaves no thread, no child process, no file descriptor, and no
level of the logs."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is on its way out when a test ends may take this long; nothing waits that need not.
GRACE_S = 30.0

# How fast a machine makes examples says nothing about the code, and the same commit is judged by
# the same examples each time. To look for new ones: pytest --hypothesis-profile=explore
# What fails is told as short as can be found in half a minute, and not explained: both may take
# longer than pytest waits (`faulthandler_timeout`), and a failing test is to say what fails.
_ANY_MACHINE = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
engine.MAX_SHRINKING_SECONDS = 30
settings.register_profile("voiced", _ANY_MACHINE, derandomize=True, database=None)
settings.register_profile("explore", _ANY_MACHINE, max_examples=2_000)
settings.load_profile("voiced")


# A shell ignores Ctrl-C for what it runs in the background, and so would the commands under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


def _threads() -> set[threading.Thread]:
    # Trio keeps idle worker threads for ten seconds; a busy one bears the name of its work.
    return {
        thread for thread in threading.enumerate() if not thread.name.startswith("Trio thread ")
    }


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _new_children(before: set[psutil.Process]) -> set[psutil.Process]:
    """Those since `before`, but not what a process of that time has started.

    A daemon that several tests share may have to replace an engine at any time.
    """
    new = _children() - before
    return {child for child in new if not before.intersection(_ancestors(child))}


def _ancestors(child: psutil.Process) -> list[psutil.Process]:
    try:
        return child.parents()
    except psutil.NoSuchProcess:
        return []


def _left_threads(before: set[threading.Thread]) -> list[str]:
    left = _threads() - before
    for thread in left:
        thread.join(GRACE_S)
    return [f"thread {thread.name}" for thread in left if thread in _threads()]


def _left_children(before: set[psutil.Process]) -> list[str]:
    left = _new_children(before)
    # One that has ended but was never waited for is a leak too; waiting here would hide it.
    zombies = {child for child in left if _status(child) == psutil.STATUS_ZOMBIE}
    _, alive = psutil.wait_procs(left - zombies, timeout=GRACE_S)
    return [f"process {child.pid} ({_status(child)})" for child in zombies | set(alive)]


def _status(child: psutil.Process) -> str:
    try:
        return str(child.status())
    except psutil.NoSuchProcess:
        return "gone"


def _left_descriptors(before: dict[int, str]) -> list[str]:
    def new() -> dict[int, str]:
        return {fd: to for fd, to in _descriptors().items() if before.get(fd) != to}

    if new():
        gc.collect()  # what only the collector closes is closed all the same
    # A thread of Trio's that is done with its work may still hold one for a moment.
    give_up_at = time.monotonic() + GRACE_S
    while (left := new()) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return [f"file descriptor {fd} ({to})" for fd, to in left.items()]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test after which a Python thread, a descendant process or a descriptor remains.

    Native threads of libraries are not counted: numpy and onnxruntime keep theirs by design.
    """
    threads, children, descriptors = _threads(), _children(), _descriptors()
    yield
    left = [*_left_threads(threads), *_left_children(children), *_left_descriptors(descriptors)]
    if left:
        pytest.fail("left behind: " + ", ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """Take back what a test has set for all logs, as each command does that runs in here.

    Otherwise a later test would look for lines that are below somebody else's level.
    """
    yield
    structlog.reset_defaults()
