"""One engine's process as the daemon holds it: its pipes, its end, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

import trio

from voiced.engines.childlog import split_level
from voiced.engines.isolation import PARENT_PID
from voiced.threads import keep_numpy_single, spin_briefly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ_BYTES = 65_536
_LINE_BYTES = 8_192
_LAST_LINES = 5

OUTBOX_BYTES = 32 * 1024 * 1024
"""What may wait for a child that does not read: a few whole utterances that are run again.
More is a hung child."""

HIGH_WATER_BYTES = 256 * 1024
"""Above this, senders that can wait are made to wait."""

_THREAD_LIMIT = "OMP_NUM_THREADS"
# Meant for the daemon alone: its sockets, its watchdog, its secrets and its settings. A child that
# had them could speak in its name.
_PRIVATE_PREFIXES = ("LISTEN_", "WATCHDOG_", "VOICED_")
_PRIVATE = frozenset(
    {
        "NOTIFY_SOCKET",
        "CREDENTIALS_DIRECTORY",
        "JOURNAL_STREAM",
        "INVOCATION_ID",
        "FDSTORE",
        "MAINPID",
    }
)


def child_environment(environ: Mapping[str, str], *, threads: int) -> dict[str, str]:
    """What a child gets of the daemon's environment, with native thread pools limited.

    The module path is the daemon's own, so that both run the same code wherever either was
    started; a thread limit that the operator has set stays.
    """
    clean = {
        key: value
        for key, value in environ.items()
        if key not in _PRIVATE and not key.startswith(_PRIVATE_PREFIXES)
    }
    clean.setdefault(_THREAD_LIMIT, str(threads))
    spin_briefly(clean)
    keep_numpy_single(clean)
    # Models come by `voiced models add` alone: a library that looks for one at the hub would wait
    # for a network that is not there, or fetch what nobody asked for.
    clean["HF_HUB_OFFLINE"] = "1"
    clean.setdefault("MALLOC_ARENA_MAX", "2")  # an arena a thread is memory that stays
    clean["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    clean[PARENT_PID] = str(os.getpid())
    return clean


class ChildProcess:
    """A running child. Whoever made it runs `write_forever` and `drain_stderr` as tasks, and
    calls `aclose`, which reaps it and closes every file descriptor."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], *, pass_fds: tuple[int, ...] = ()
    ) -> None:
        """Start it. Blocks for the millisecond that takes, and raises `OSError` if it fails.

        `pass_fds` are open in the child under the same numbers; they stay the caller's here.

        Not in a thread: the kernel's parent-death signal is sent when the *thread* that
        started the child ends, and worker threads end when idle.
        """
        popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(environ),
            pass_fds=pass_fds,
            # A process group of its own: Ctrl-C in a terminal is for the daemon. No session of its
            # own: Linux gives each session the same share of the CPU (sched(7), autogroup), and the
            # engine's nice level would count for nothing beside the daemon.
            process_group=0,
        )
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._popen = popen
        self._pipes = (popen.stdin, popen.stdout, popen.stderr)
        self._stdin, self._stdout, self._stderr = (pipe.fileno() for pipe in self._pipes)
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        try:
            self._pidfd = os.pidfd_open(popen.pid)
        except OSError:
            popen.kill()
            popen.wait()
            for pipe in self._pipes:
                pipe.close()
            raise
        self._outbox: deque[bytes | memoryview] = deque()
        self._outbox_bytes = 0
        self._outbox_filled = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        self._stderr_ended = trio.Event()
        self._closed = False
        self.killed_because: str | None = None
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    # -- frames

    def send(self, frame: bytes) -> None:
        """Send without waiting: what the pipe does not take now is written later, in order.

        More than `OUTBOX_BYTES` of that means that the child no longer reads: it is killed.
        """
        if self._closed:
            return
        if not self._outbox:
            try:
                written = os.write(self._stdin, frame)
            except BlockingIOError:
                written = 0
            except OSError:
                return  # it has gone; the end of its answers says so
            if written == len(frame):
                return
            self._outbox.append(memoryview(frame)[written:])
            self._outbox_bytes += len(frame) - written
            self._outbox_filled.set()
            return
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        if self._outbox_bytes > OUTBOX_BYTES:
            self.kill("it stopped reading its requests")

    @property
    def congested(self) -> bool:
        """True while so much waits to be written that senders should wait."""
        return self._outbox_bytes > HIGH_WATER_BYTES

    async def wait_room(self) -> None:
        """Return once not congested, or the child is being closed."""
        while self.congested and not self._closed:
            await self._room.park()

    async def write_forever(self) -> None:
        """Write what `send` could not. Runs until cancelled or the pipe breaks."""
        while True:
            await self._outbox_filled.wait()
            try:
                await trio.lowlevel.wait_writable(self._stdin)
                while self._outbox:
                    frame = self._outbox[0]
                    written = os.write(self._stdin, frame)
                    self._outbox_bytes -= written
                    if written == len(frame):
                        self._outbox.popleft()
                    else:
                        self._outbox[0] = memoryview(frame)[written:]
            except BlockingIOError:
                pass
            except (OSError, trio.ClosedResourceError):
                return
            if not self._outbox:
                self._outbox_filled = trio.Event()
            if not self.congested:
                self._room.unpark_all()

    async def receive(self) -> bytes:
        """What it has answered, as it comes; empty at the end."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._stdout)
                return os.read(self._stdout, _READ_BYTES)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""

    async def drain_stderr(self, log_line: Callable[[str], None]) -> None:
        """Hand each line of its stderr to `log_line`, until it ends. Long lines are cut."""
        rest = b""
        try:
            while True:
                try:
                    await trio.lowlevel.wait_readable(self._stderr)
                    data = os.read(self._stderr, _READ_BYTES)
                except BlockingIOError:
                    continue
                except (OSError, trio.ClosedResourceError):
                    break
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._take_line(line, log_line)
                while len(rest) > _LINE_BYTES:
                    self._take_line(rest[:_LINE_BYTES], log_line)
                    rest = rest[_LINE_BYTES:]
            self._take_line(rest, log_line)
        finally:
            self._stderr_ended.set()

    def _take_line(self, line: bytes, log_line: Callable[[str], None]) -> None:
        text = line[:_LINE_BYTES].decode(errors="replace").rstrip()
        if text:
            log_line(text)
            level, said = split_level(text)
            if level != "debug":  # its last words are logged as a warning, whatever they are
                self.last_lines.append(said)

    # -- its end

    def kill(self, reason: str) -> None:
        """SIGKILL to it and to whatever it has started; the first reason is kept."""
        if self.killed_because is None:
            self.killed_because = reason
        self._signal()

    def _signal(self) -> None:
        # Before it is reaped its pid, which names its process group, cannot be anyone else's.
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    async def aclose(self, *, goodbye: bytes, wait_s: float) -> int | None:
        """End it: say goodbye, wait up to `wait_s`, SIGKILL, reap, close everything.

        Returns its exit status (negative: the signal), or None if even SIGKILL did not end
        it within two seconds (stuck in the kernel). Runs to its end when cancelled, and may
        be called twice.
        """
        if self._closed:
            return self._popen.returncode
        self.send(goodbye)
        self._closed = True
        self._room.unpark_all()
        with trio.move_on_after(wait_s, shield=True):
            await trio.lowlevel.wait_readable(self._pidfd)
        self._signal()  # also what it may have started, when it has ended itself
        with trio.move_on_after(2.0, shield=True):
            await trio.lowlevel.wait_readable(self._pidfd)
        status = self._popen.poll()
        with trio.move_on_after(0.2, shield=True):  # its last words
            await self._stderr_ended.wait()
        trio.lowlevel.notify_closing(self._pidfd)
        os.close(self._pidfd)
        for pipe in self._pipes:
            trio.lowlevel.notify_closing(pipe.fileno())
            pipe.close()
        return status
