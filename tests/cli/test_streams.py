"""voiced started without one of its standard streams, as some starters do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.patience import CEILING_S
from tests.realtime.live import STUBS

if TYPE_CHECKING:
    from pathlib import Path

SHOW = "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in range(3)), sep='\\n')"
FIRST = "from voiced.streams import open_missing_streams as o; o(); o(); "


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_what_is_missing_is_dev_null_for_children_too(
    closed: tuple[int, ...], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    code = f"{FIRST}import subprocess as s, sys; s.run([sys.executable, '-c', {SHOW!r}], check=True"
    code += f", stdout=open({str(told)!r}, 'w')); print('x', file=sys.stderr)"
    redirect = " ".join(f"{number}>&-" for number in closed)
    command = ["/bin/sh", "-c", f'exec "$0" "$@" {redirect}', sys.executable, "-c", code]
    subprocess.run(command, check=True, timeout=CEILING_S, capture_output=True)
    shown = told.read_text().splitlines()
    assert shown[1] == str(told)
    for number in closed:
        if number != 1:
            assert shown[number] == os.devnull


@pytest.mark.parametrize("closed", ["0>&-", "2>&-", "0>&- 2>&-"])
def test_the_daemon_runs_without_them(closed: str, tmp_path: Path) -> None:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("VOICED_")}
    environ |= STUBS | {"VOICED_SERVER__PORT": "0", "STATE_DIRECTORY": str(tmp_path)}
    serve = [sys.executable, "-m", "voiced", "serve"]
    command = ["/bin/sh", "-c", f'exec "$0" "$@" {closed}', *serve]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"voiced listens at ")
            standard = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 2)]
            if "0" in closed:
                assert standard[0] == os.devnull
            if "2>&-" in closed:
                assert standard[1] == os.devnull
            process.send_signal(signal.SIGTERM)
            assert process.wait(CEILING_S) == 0
        finally:
            process.kill()
