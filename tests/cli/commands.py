"""Running voiced as a user does: as a process of its own."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import trio

from tests.patience import CEILING_S

if TYPE_CHECKING:
    import subprocess


async def run_voiced(
    *args: str, stdin: bytes = b"", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    """Run `voiced` with `args`; settings only from `environ`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    run = partial(
        trio.run_process,
        [sys.executable, "-m", "voiced", *args],
        check=False,
        stdin=stdin,
        capture_stdout=True,
        capture_stderr=True,
        env={**kept, **environ},
    )
    with trio.fail_after(CEILING_S):
        return await run()
