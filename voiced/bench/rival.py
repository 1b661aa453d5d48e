"""The naive user's process, as the bench that asks it sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from voiced.bench.daemon import end_process
from voiced.bench.lines import Lines
from voiced.bench.naive import Asked, Spent
from voiced.errors import EngineFailed
from voiced.threads import BEHIND_NUMPY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

_ANSWER_S = 120.0

_LIMITS = (*BEHIND_NUMPY, "OMP_NUM_THREADS")


def naive_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What somebody has who has set nothing: without the limits of threads that voiced keeps
    itself to. No library is to look for a model in the network, which would cost it time."""
    kept = {key: value for key, value in environ.items() if key not in _LIMITS}
    return {**kept, "HF_HUB_OFFLINE": "1"}


class Rival:
    """Somebody who uses the same models naively."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._lines = Lines(process, "the naive user")

    async def ask(self, asked: Asked) -> Spent:
        """Have something done. Raises `EngineFailed` where it cannot be."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(msgspec.json.encode(asked) + b"\n")
        except trio.BrokenResourceError as exc:
            raise EngineFailed("the process of the naive user has ended") from exc
        spent = msgspec.json.decode(await self._lines.read_within(_ANSWER_S), type=Spent)
        if spent.fault:
            raise EngineFailed(f"{asked.op}, naively: {spent.fault}")
        return spent

    async def spend(self, asked: Asked) -> dict[str, float]:
        """Have something done; milliseconds by stage, as `pairs.compare` wants them."""
        return (await self.ask(asked)).ms


@asynccontextmanager
async def open_rival(**models: Any) -> AsyncGenerator[Rival, None]:  # noqa: ANN401
    """A process with these models: `whisper`, `llama` and `piper`, as `Asked` has them."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "voiced.bench.naive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=naive_environment(os.environ),
        start_new_session=True,
    )
    try:
        rival = Rival(process)
        await rival.ask(Asked(op="load", **models))
        yield rival
    finally:
        await end_process(process)
