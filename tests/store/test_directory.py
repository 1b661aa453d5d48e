"""One daemon for one state directory."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.patience import CEILING_S
from voiced.errors import StartupError
from voiced.store.directory import LOCK_NAME, hold_directory

HOLDER = """
import pathlib, sys
from voiced.store.directory import hold_directory
with hold_directory(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with hold_directory(directory):
        with pytest.raises(StartupError) as caught, hold_directory(directory):
            pass
        message = str(caught.value)
        assert str(directory) in message
        assert f"process {os.getpid()}" in message
        assert "store.directory" in message
        assert "\n" not in message
    with hold_directory(directory):  # it is free again
        assert (directory / LOCK_NAME).stat().st_mode & 0o077 == 0


def test_a_daemon_that_was_killed_leaves_it_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StartupError, match=f"process {other.pid}"), hold_directory(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait(CEILING_S)
    with hold_directory(tmp_path):
        pass


def test_what_it_starts_does_not_hold_it_any_longer(tmp_path: Path) -> None:
    with hold_directory(tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    with child:
        assert child.stdout is not None
        child.stdout.readline()  # the kernel closes what it inherited a moment after its start
        with hold_directory(tmp_path):
            child.communicate(b"\n")


def test_one_whose_holder_has_not_said_who_it_is_is_refused_too(tmp_path: Path) -> None:
    with (tmp_path / LOCK_NAME).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StartupError, match="not known"), hold_directory(tmp_path):
            pass


def test_where_there_are_no_locks_it_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("voiced.store.directory.fcntl.flock", unsupported)
    with capture_logs() as logs, hold_directory(tmp_path):
        pass
    assert [entry["event"] for entry in logs] == ["state directory not locked"]


@pytest.mark.parametrize("below", ["", "state"])
def test_one_that_is_a_file_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartupError, match="is no directory"), hold_directory(file / below):
        pass


def test_one_that_cannot_be_written_to_is_named() -> None:
    with (
        pytest.raises(StartupError, match=r"/proc/voiced is not writable"),
        hold_directory(Path("/proc/voiced")),
    ):
        pass
