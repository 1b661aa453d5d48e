"""Where the native threads of an engine may run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.engines.host_helpers import running_host
from tests.models.whisper_model import write_listener
from voiced.engines.placement import is_virtual, share_out, threads_at_work
from voiced.engines.registry import configured
from voiced.settings import Settings, Stt

PROCESSORS = os.sched_getaffinity(0)
IS_VIRTUAL = is_virtual(Path("/proc/cpuinfo").read_text())
A_PI = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm\nModel\t: Raspberry Pi 5\n"
A_GUEST = "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n\n"


def test_a_virtual_machine_is_told_by_its_processor() -> None:
    assert is_virtual(A_GUEST)
    assert not is_virtual(A_GUEST.replace("hypervisor", "hypervisor_of_others"))
    assert not is_virtual(A_PI)


@pytest.mark.parametrize(
    ("threads", "processors", "shares"),
    [
        ({7, 5}, {0, 1}, {5: {0}, 7: {1}}),
        ({5, 7}, {0, 1, 2, 3}, {5: {0, 2}, 7: {1, 3}}),
        ({5, 6, 7}, {2, 4, 6, 8}, {5: {2, 8}, 6: {4}, 7: {6}}),
        ({5, 6, 7}, {0, 1}, {}),
        ({5}, {0, 1}, {}),
        (set(), {0, 1}, {}),
    ],
)
def test_each_thread_has_processors_of_its_own(
    threads: set[int], processors: set[int], shares: dict[int, set[int]]
) -> None:
    assert share_out(threads, processors) == shares


def test_threads_of_python_are_none_of_a_library() -> None:
    assert not threads_at_work(lambda: sum(range(100_000)))


@pytest.mark.skipif(len(PROCESSORS) < 2, reason="one processor cannot be shared out")
@pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="the kernel does not tell which threads work"
)
async def test_whisper_keeps_its_threads_apart_in_a_virtual_machine_only(tmp_path: Path) -> None:
    write_listener(tmp_path / "model")
    stt = Stt(engine="whisper", model=str(tmp_path / "model"), threads=2)
    async with running_host(configured(Settings(stt=stt), "stt")) as host:
        tasks = [int(name) for name in os.listdir(f"/proc/{host.pid}/task")]
        places = [os.sched_getaffinity(task) for task in tasks]
    kept = [place for place in places if place != PROCESSORS]
    if IS_VIRTUAL:
        one, other = kept
        assert one.isdisjoint(other)
        assert one | other == PROCESSORS
    else:
        assert not kept
