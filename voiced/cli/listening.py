"""What is said in a recording, utterance by utterance: for `transcribe` and `understand`."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import IO, TYPE_CHECKING

import msgspec

from voiced.cli.engines import open_engine
from voiced.cli.progress import show_progress
from voiced.engines.clients_stt import EngineStt
from voiced.errors import AudioError
from voiced.media.transcribing import Heard as HeardPassage
from voiced.media.transcribing import Transcriber, decode_job, transcribe_recording

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.settings import Settings


class Heard(msgspec.Struct, frozen=True):
    """An utterance and its transcript; `text` is empty where the engine recognised nothing."""

    start_s: float
    end_s: float
    text: str
    confidence: float


async def transcribe_file(path: Path, settings: Settings, *, whole: bool) -> list[Heard]:
    """Transcribe the recording with the configured engine, in a process of its own.

    Any file with sound in it, decoded in a process too; `-` is standard input. It is cut at
    silences, unless `whole`.
    Raises `AudioError`, naming the file, and `EngineError`.
    """
    file = open_recording(path)
    heard: list[Heard] = []

    async def add(one: HeardPassage) -> None:
        passage = one.passage
        heard.append(Heard(passage.start_s, passage.end_s, passage.text, passage.confidence))

    with file:
        async with open_engine(settings, "stt") as host:
            transcriber = Transcriber(stt=EngineStt(host), language=settings.stt.language)
            with show_progress("transcribing", 1.0) as advance:
                try:
                    await transcribe_recording(
                        file.fileno(),
                        decode_job(settings, whole=whole),
                        transcriber,
                        add,
                        lambda position_s, duration_s: advance(position_s / (duration_s or 1e9)),
                    )
                except AudioError as exc:
                    raise AudioError(f"{path}: {exc}") from exc
    return heard


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
