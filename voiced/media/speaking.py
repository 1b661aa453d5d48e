"""A text to a file of speech, sent while it is spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.audio.pcm import WIRE_HZ, bytes_for_ms
from voiced.audio.resample import StreamResampler
from voiced.engines.ports import Priority, Tts
from voiced.engines.tts.text import ClauseSplitter
from voiced.errors import SpeechError, VoicedError, leaves
from voiced.media import wire
from voiced.media.coders import open_encoder
from voiced.media.formats import ENCODED
from voiced.media.wav import wav_head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voiced.media.coders import Coder

    Put = Callable[[bytes], Awaitable[None]]
    Advance = Callable[[int, int], None]

RATE_HZ: Final = WIRE_HZ
"""Of all speech here; `pcm` says nothing of itself, and clients of OpenAI expect this one."""

PORTION_BYTES: Final = bytes_for_ms(200, RATE_HZ)


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, piece by piece, and how.

    A piece is a request to the engine: clauses begin to sound soonest, longer ones sound best.
    `voice` is the engine's own name of it, "" its default.
    """

    pieces: tuple[str, ...]
    voice: str = ""
    speed: float = 1.0
    priority: Priority = Priority.CONVERSATION


def split_clauses(text: str) -> tuple[str, ...]:
    """`text` in clauses that have something to say, in order."""
    splitter = ClauseSplitter()
    clauses = [*splitter.feed(text), *splitter.flush()]
    return tuple(clause.strip() for clause in clauses if any(map(str.isalnum, clause)))


def _nobody(done: int, total: int) -> None:
    """Nobody looks at the progress."""


async def speak_to_file(
    speech: Speech, tts: Tts, file_format: str, put: Put, advance: Advance = _nobody
) -> float:
    """Speak, and `put` the file in portions as soon as there are any; returns its seconds.

    `file_format` is one of `voiced.media.formats.Format`. Nothing is put before the engine
    has made its first sound. Raises `SpeechError` where it makes none, `EngineError` and
    `MediaError`; cancelling ends the engine's work and the encoder at once.
    """
    if file_format not in ENCODED:
        return await _speak_plain(speech, tts, file_format, put, advance)
    seconds = 0.0
    failure: VoicedError | None = None
    try:
        # The process starts while the engine finds its first sound.
        async with open_encoder(file_format, RATE_HZ) as encoder, trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(_pass_on, encoder, begun, put)

            async def encode(pcm: bytes) -> None:
                begun.set()
                await encoder.send(wire.Pcm(pcm))

            seconds = await speak(speech, tts, encode, advance)
            await encoder.send(wire.End())
    except* VoicedError as group:
        failure = leaves(group)[0]
    if failure is not None:
        raise failure
    return seconds


async def _speak_plain(
    speech: Speech, tts: Tts, file_format: str, put: Put, advance: Advance
) -> float:
    head = wav_head(RATE_HZ) if file_format == "wav" else b""

    async def pass_on(pcm: bytes) -> None:
        nonlocal head
        await put(head + pcm)
        head = b""

    return await speak(speech, tts, pass_on, advance)


async def _pass_on(encoder: Coder, begun: trio.Event, put: Put) -> None:
    await begun.wait()
    while not isinstance(message := await encoder.receive(), wire.Done):
        assert isinstance(message, wire.Data)
        await put(message.data)


async def speak(speech: Speech, tts: Tts, put: Put, advance: Advance = _nobody) -> float:
    """Speak piece by piece; `put` PCM16 mono at `RATE_HZ`. Returns its seconds.

    `advance` is told how many pieces are done, and how many there are.

    The next piece is spoken once the one before was put: a slow listener holds up the engine
    for nobody else, and at most one piece of sound waits. Raises `EngineError` and `SpeechError`.
    """
    sent = 0
    resampler: StreamResampler | None = None

    async def put_portions(pcm: bytes) -> None:
        nonlocal sent
        for start in range(0, len(pcm), PORTION_BYTES):
            portion = pcm[start : start + PORTION_BYTES]
            await put(portion)
            sent += len(portion)

    for done, piece in enumerate(speech.pieces, 1):
        async with tts.speak(
            piece, voice=speech.voice, speed=speech.speed, priority=speech.priority
        ) as chunks:
            async for chunk in chunks:
                if resampler is None or resampler.from_hz != chunk.sample_rate:
                    if resampler is not None:
                        await put_portions(resampler.flush())
                    resampler = StreamResampler(chunk.sample_rate, RATE_HZ)
                await put_portions(resampler.resample(chunk.pcm))
        advance(done, len(speech.pieces))
    if resampler is not None:
        await put_portions(resampler.flush())
    if not sent:
        raise SpeechError("The engine made no sound of this text.")
    return sent / (2 * RATE_HZ)
