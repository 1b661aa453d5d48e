"""What is said in a recording, utterance by utterance: for `transcribe` and `understand`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import trio

from voiced.audio.files import read_pcm16
from voiced.audio.pcm import SPEECH_HZ
from voiced.cli.engines import open_engine
from voiced.cli.progress import show_progress
from voiced.engines.clients import EngineStt
from voiced.engines.ports import Priority
from voiced.turns.detector import CHUNK, Started, Stopped, TurnDetector
from voiced.turns.silero import SileroState, SileroVad

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.settings import Settings, TurnDetection

_BYTES_PER_S: Final = SPEECH_HZ * 2


class Span(msgspec.Struct, frozen=True):
    """A part of a recording, in seconds."""

    start_s: float
    end_s: float


class Heard(msgspec.Struct, frozen=True):
    """An utterance and its transcript; `text` is empty where the engine recognised nothing."""

    start_s: float
    end_s: float
    text: str
    confidence: float


def find_utterances(
    pcm: bytes, vad: SileroVad, turns: TurnDetection, *, acoustic_end: bool = True
) -> list[Span]:
    """Where somebody speaks in PCM16 mono at 16 kHz, as the daemon would cut it into turns.

    A span begins up to the prefix padding early, though not in the one before, and includes the
    silence that ended it.
    """
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
    tail = -len(samples) % CHUNK
    samples = np.concatenate((samples, np.zeros(tail, np.float32)))
    detector = TurnDetector(acoustic_end=acoustic_end)
    detector.threshold = turns.threshold
    detector.silence_samples = turns.silence_duration_ms * SPEECH_HZ // 1000
    state = SileroState()
    spans: list[Span] = []
    started = 0
    for begin in range(0, len(samples), CHUNK):
        chunk = samples[begin : begin + CHUNK]
        event = detector.push(vad.probabilities(state, chunk)[0], chunk)
        if isinstance(event, Started):
            earliest = event.sample - turns.prefix_padding_ms * SPEECH_HZ // 1000
            last_end = round(spans[-1].end_s * SPEECH_HZ) if spans else 0
            started = max(earliest, last_end, 0)
        elif isinstance(event, Stopped):
            spans.append(Span(started / SPEECH_HZ, event.sample / SPEECH_HZ))
    if detector.speaking:
        spans.append(Span(started / SPEECH_HZ, (len(samples) - tail) / SPEECH_HZ))
    return spans


async def transcribe_file(path: Path, settings: Settings, *, whole: bool) -> list[Heard]:
    """Transcribe the recording with the configured engine, in a process of its own.

    It is cut at silences, unless `whole`. Raises `AudioError` and `EngineError`.
    """
    pcm = read_pcm16(path, SPEECH_HZ)
    if whole:
        spans = [Span(0.0, len(pcm) / _BYTES_PER_S)]
    else:
        spans = find_utterances(
            pcm, SileroVad.load(), settings.turn_detection, acoustic_end=settings.vad.acoustic_end
        )
    if not spans:
        await trio.lowlevel.checkpoint()
        return []
    heard: list[Heard] = []
    async with open_engine(settings, "stt") as host:
        stt = EngineStt(host)
        with show_progress("transcribing", spans[-1].end_s) as advance:
            for span in spans:
                first, last = (round(at * SPEECH_HZ) * 2 for at in (span.start_s, span.end_s))
                async with stt.transcribe(
                    language=settings.stt.language, priority=Priority.CONVERSATION
                ) as utterance:
                    await utterance.feed(pcm[first:last])
                    said = await utterance.finish()
                heard.append(Heard(span.start_s, span.end_s, said.text, said.confidence))
                advance(span.end_s)
    return heard
