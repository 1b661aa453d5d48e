"""What is said in a recording, for `transcribe` and `understand`: the job of that kind, here."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from voiced.cli.engines import open_engine
from voiced.cli.progress import show_progress
from voiced.engines.clients_stt import EngineStt
from voiced.errors import AudioError
from voiced.jobs.kind import INPUT_NAME
from voiced.jobs.memory import MemoryWork
from voiced.jobs.transcription import Transcription, read_passages

if TYPE_CHECKING:
    from voiced.jobs.transcription import TranscriptionRequest
    from voiced.settings import Settings


class Heard(msgspec.Struct, frozen=True):
    """An utterance and its transcript; `text` is empty where the engine recognised nothing."""

    start_s: float
    end_s: float
    text: str
    confidence: float


class Transcribed(msgspec.Struct, frozen=True):
    """A recording that was heard to its end: its utterances, and the file that was asked for."""

    heard: list[Heard]
    result: Path


async def transcribe_file(
    path: Path, settings: Settings, request: TranscriptionRequest, directory: Path
) -> Transcribed:
    """Transcribe the recording with the configured engine, in a process of its own.

    Any file with sound in it, decoded in a process too; `-` is standard input. What is heard is
    kept in `directory`, the result too. Raises `AudioError`, naming the recording, `EngineError`,
    and `StorageError`.
    """
    with open_recording(path) as file:
        (directory / INPUT_NAME).symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        async with open_engine(settings, "stt") as host:
            kind = Transcription(settings, EngineStt(host), max_s=settings.jobs.recording_s)
            with show_progress("transcribing", 100.0) as advance:
                work = MemoryWork(request, directory, advance)
                try:
                    await kind.run(work)
                except AudioError as exc:
                    raise AudioError(f"{path}: {exc}") from exc
    assert work.result is not None
    heard = [
        Heard(passage.start_s, passage.end_s, passage.text, passage.confidence)
        for passage in read_passages(directory)
    ]
    return Transcribed(heard, work.result)


def open_recording(path: Path) -> IO[bytes]:
    """The file, ready for a decoder, which moves about in it: what comes by a pipe is kept on disk
    first. Raises `AudioError`, naming the file."""
    try:
        file = os.fdopen(os.dup(0), "rb") if str(path) == "-" else path.open("rb")
        if file.seekable():
            return file
        with file:
            kept = tempfile.TemporaryFile()  # noqa: SIM115  # the caller's to close
            shutil.copyfileobj(file, kept)
            kept.flush()
            return kept
    except OSError as exc:
        raise AudioError(f"{path}: {exc.strerror or exc}") from exc
