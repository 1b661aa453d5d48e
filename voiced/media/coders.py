"""Decoding and encoding in child processes, as the daemon and the commands use them."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio

from voiced.engines.childlog import log_child_line
from voiced.engines.process import ChildProcess, child_environment
from voiced.engines.wire import FrameError
from voiced.errors import AudioError, DecodingFailed, MediaError, VoicedError
from voiced.media import wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

log = structlog.get_logger(__name__)

STALL_S: Final = 60.0
"""A child that says nothing for so long, while somebody listens, hangs: it tells its progress
every ten seconds of a recording, which take it a fraction of one."""

_END_S: Final = 0.2
"""For a child that has done its work to exit."""


class Coder:
    """A running child: send to it, receive from it."""

    def __init__(self, child: ChildProcess, broken: Callable[[str], VoicedError]) -> None:
        self._child = child
        self._broken: Callable[[str], VoicedError] = MediaError
        self._broken_later = broken
        self._reader = wire.daemon_reader()
        self._messages: list[wire.FromChild] = []
        self.finished = False
        self._resting = False

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Meanwhile the child is given nothing to do on purpose, and may say nothing."""
        self._resting = True
        try:
            yield
        finally:
            self._resting = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    async def send(self, message: wire.ToChild) -> None:
        """Send, and wait while the child is behind."""
        await self._child.wait_room()
        self._child.send(wire.encode(message))
        await trio.lowlevel.checkpoint()

    async def receive(self) -> wire.FromChild:
        """Its next message but `Began`. Raises `AudioError` where it says that it cannot do it.

        Where it crashes, hangs or uses up what it may, that is `MediaError` of an encoder; of a
        decoder it is `DecodingFailed`, an `AudioError`, since it mostly goes the same way again.
        """
        while not self._messages:
            rested = self._resting
            with trio.move_on_after(STALL_S) as waiting:
                data = await self._child.receive()
            if waiting.cancelled_caught:
                if rested or self._resting:
                    continue
                self._child.kill("it hung")
                raise self._broken(f"a coder said nothing for {STALL_S:.0f} s")
            try:
                self._messages = self._reader.feed(data)[::-1]
            except FrameError as exc:
                raise self._broken(f"a coder sent what is no message: {exc}") from exc
            if not data:
                last = "; ".join(self._child.last_lines)
                raise self._broken(f"a coder ended without a result: {last or 'no last words'}")
        message = self._messages.pop()
        if isinstance(message, wire.Began):
            self._broken = self._broken_later
            return await self.receive()
        if isinstance(message, wire.Failed):
            raise AudioError(message.message)
        self.finished = isinstance(message, wire.Done)
        return message


@asynccontextmanager
async def open_decoder(file_descriptor: int, job: wire.DecodeJob) -> AsyncGenerator[Coder, None]:
    """Read the recording that is open as `file_descriptor`, from its beginning.

    The descriptor stays the caller's, but its position is the child's meanwhile. Receive until
    `Done`; what is not received yet is not decoded either, but for what fits into a pipe and one
    stretch. Leaving the context, or cancelling, ends the child at once.
    """
    command = ["decode", str(file_descriptor), msgspec.json.encode(job).decode()]
    async with _open_coder(command, broken=_undecodable, pass_fds=(file_descriptor,)) as coder:
        yield coder


@asynccontextmanager
async def open_encoder(
    file_format: str, rate_hz: int, longest_s: float = wire.SPEECH_S
) -> AsyncGenerator[Coder, None]:
    """Encode PCM16 mono at `rate_hz`: send `Pcm` and, last, `End`; receive `Data` until `Done`.

    What is longer than `longest_s` may end with `MediaError`, for want of processor time. Both
    ends are to be used at the same time. Leaving the context ends the child at once.
    """
    job = wire.EncodeJob(format=file_format, rate_hz=rate_hz, longest_s=longest_s)
    async with _open_coder(["encode", msgspec.json.encode(job).decode()]) as coder:
        yield coder


@asynccontextmanager
async def _open_coder(
    arguments: list[str],
    *,
    broken: Callable[[str], VoicedError] = MediaError,
    pass_fds: tuple[int, ...] = (),
) -> AsyncGenerator[Coder, None]:
    command = [sys.executable, "-P", "-m", "voiced.media.child", *arguments]
    try:
        child = ChildProcess(command, child_environment(os.environ, threads=1), pass_fds=pass_fds)
    except OSError as exc:
        raise MediaError(f"a coder cannot be started: {exc}") from exc
    logger = log.bind(coder=arguments[0], pid=child.pid)
    failure: VoicedError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.drain_stderr, partial(log_child_line, logger))
        nursery.start_soon(child.write_forever)
        coder = Coder(child, broken)
        try:
            yield coder
        except VoicedError as exc:  # which a nursery would wrap in a group
            failure = exc
        finally:
            await child.aclose(goodbye=b"", wait_s=_END_S if coder.finished else 0.0)
            nursery.cancel_scope.cancel(reason="the coder has ended")
    if failure is not None:
        raise failure


def _undecodable(message: str) -> DecodingFailed:
    log.warning("decoding broke down", cause=message)
    return DecodingFailed(
        message, public="The file could not be decoded: it is damaged, or too much."
    )
