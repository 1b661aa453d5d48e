"""A host over a real child process, for the time of a test, with nothing left behind."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import trio

from tests.patience import CEILING_S
from voiced.engines.host import EngineHost
from voiced.engines.spec import EngineSpec, HostPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def spec_for(engine: str, options: dict[str, Any] | None = None) -> EngineSpec:
    """The spec of an engine of `fault_engines`."""
    return EngineSpec(
        kind="llm",
        name=engine.lower(),
        target=f"tests.engines.fault_engines:{engine}",
        options=options or {},
    )


def children() -> set[psutil.Process]:
    """All that descend from this process; other tests may share a daemon at the same time."""
    return set(psutil.Process().children(recursive=True))


@asynccontextmanager
async def running_host(
    spec: EngineSpec,
    policy: HostPolicy | None = None,
    *,
    on_alive: Callable[[], None] = lambda: None,
) -> AsyncIterator[EngineHost]:
    """A host that is ready; afterwards no process of its and no file descriptor is left."""
    before = children()
    descriptors = len(os.listdir("/proc/self/fd"))
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            host = EngineHost(spec, policy, on_alive=on_alive)
            await nursery.start(host.serve)
            try:
                yield host
            finally:
                nursery.cancel_scope.cancel("the test is over")
    assert host.state == "stopped"
    assert children() <= before
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def wait_gone(pid: int) -> None:
    """Return when a process has ended, whoever's child it is."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with trio.fail_after(CEILING_S):
            await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)
