"""From spoken samples to the file that was asked for, without having either in memory."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Final

import trio

from voiced.audio.pcm import SAMPLE_BYTES
from voiced.errors import VoicedError, leaves
from voiced.jobs.journal import in_thread, open_journal
from voiced.media import wire
from voiced.media.coders import open_encoder
from voiced.media.formats import ENCODED
from voiced.media.speaking import RATE_HZ
from voiced.media.wav import HEAD_BYTES, wav_head

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.jobs.journal import Journal
    from voiced.jobs.kind import Work
    from voiced.media.coders import Coder

READ_BYTES: Final = 65_536

_FLAC_SAMPLES: Final = 21
"""Where a FLAC file says how many samples it has: four bits, and the four bytes behind them."""


async def finish_file(work: Work, samples: Path, result: Path, *, from_percent: float) -> None:
    """Make `result` of the file of samples, whose place it takes.

    Done again from the beginning where that was broken off. Raises `MediaError` and
    `StorageError`.
    """
    if not await in_thread(samples, samples.exists) and await in_thread(result, result.exists):
        return
    size = (await in_thread(samples, samples.stat)).st_size - HEAD_BYTES
    file_format = result.suffix[1:]
    if file_format not in ENCODED:
        await in_thread(samples, _become_plain, samples, result, size)
        return
    beside = result.with_name(f".{result.name}.part")
    source: IO[bytes] = await in_thread(samples, open, samples, "rb")
    with source:
        source.seek(HEAD_BYTES)
        async with open_journal(beside, 0) as target:
            await _Encoding(work, source, target, size, from_percent).run(file_format)
            await target.sync()
    if file_format == "flac":
        await in_thread(beside, _tell_flac_length, beside, size // SAMPLE_BYTES)
    await in_thread(result, os.replace, beside, result)
    await in_thread(samples, os.unlink, samples)


class _Encoding:
    """Reads samples, has them encoded, and writes what comes of it, all at the same time."""

    def __init__(
        self, work: Work, source: IO[bytes], target: Journal, size: int, from_percent: float
    ) -> None:
        self._work = work
        self._source = source
        self._target = target
        self._size = size
        self._from_percent = from_percent

    async def run(self, file_format: str) -> None:
        seconds = self._size / (SAMPLE_BYTES * RATE_HZ)
        failure: VoicedError | None = None
        try:
            async with (
                open_encoder(file_format, RATE_HZ, seconds) as encoder,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self._send, encoder)
                while not isinstance(message := await encoder.receive(), wire.Done):
                    assert isinstance(message, wire.Data)
                    await self._target.append(message.data)
        except* VoicedError as group:
            failure = leaves(group)[0]
        if failure is not None:
            raise failure

    async def _send(self, encoder: Coder) -> None:
        path = self._work.directory
        sent = 0
        while pcm := await in_thread(path, self._source.read, READ_BYTES):
            with encoder.resting():
                await self._work.pause_point()
            await encoder.send(wire.Pcm(pcm))
            sent += len(pcm)
            self._work.progress(
                self._from_percent + (99.0 - self._from_percent) * sent / max(1, self._size)
            )
        await encoder.send(wire.End())


def _become_plain(samples: Path, result: Path, size: int) -> None:
    """WAV is the samples with a head, for which there is room; PCM is the rest of them."""
    if result.suffix == ".wav":
        with samples.open("r+b") as file:
            file.write(wav_head(RATE_HZ, size))
            file.flush()
            os.fsync(file.fileno())
        samples.replace(result)
        return
    beside = result.with_name(f".{result.name}.part")
    with samples.open("rb") as source, beside.open("wb") as target:
        source.seek(HEAD_BYTES)
        while portion := source.read(READ_BYTES):
            target.write(portion)
    beside.replace(result)
    samples.unlink()


def _tell_flac_length(path: Path, samples: int) -> None:
    """Whoever wrote the head did not know it yet, and players show it."""
    with path.open("r+b") as file:
        file.seek(_FLAC_SAMPLES)
        before = file.read(1)[0]
        file.seek(_FLAC_SAMPLES)
        file.write(
            bytes([before & 0xF0 | samples >> 32 & 0x0F])
            + (samples & 0xFFFFFFFF).to_bytes(4, "big")
        )
