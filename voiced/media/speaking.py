"""A text to a file of speech, sent while it is spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.audio.pcm import WIRE_HZ, bytes_for_ms
from voiced.audio.resample import StreamResampler
from voiced.engines.ports import Priority, Tts
from voiced.engines.tts.spoken import SpokenText
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

RATE_HZ: Final = WIRE_HZ
"""Of all speech here; `pcm` says nothing of itself, and clients of OpenAI expect this one."""

PORTION_BYTES: Final = bytes_for_ms(200, RATE_HZ)


class Speech(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, piece by piece, and how.

    A piece is a request to the engine: clauses begin to sound soonest, longer ones sound best.
    Pieces are as they were written: what is for the eye alone is not said. `voice` is the engine's
    own name of it, "" its default; `language` is that of the text where the voice has none.
    """

    pieces: tuple[str, ...]
    language: str
    voice: str = ""
    speed: float = 1.0
    priority: Priority = Priority.CONVERSATION


def split_clauses(text: str) -> tuple[str, ...]:
    """`text` in clauses, in order."""
    splitter = ClauseSplitter()
    return (*splitter.feed(text), *splitter.flush())


async def speak_to_file(speech: Speech, tts: Tts, file_format: str, put: Put) -> float:
    """Speak, and `put` the file in portions as soon as there are any; returns its seconds.

    `file_format` is one of `voiced.media.formats.Format`. Nothing is put before the engine
    has made its first sound. Raises `SpeechError` where it makes none, `EngineError` and
    `MediaError`; cancelling ends the engine's work and the encoder at once.
    """
    if file_format not in ENCODED:
        return await _speak_plain(speech, tts, file_format, put)
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

            seconds = await speak(speech, tts, encode)
            await encoder.send(wire.End())
    except* VoicedError as group:
        failure = leaves(group)[0]
    if failure is not None:
        raise failure
    return seconds


async def _speak_plain(speech: Speech, tts: Tts, file_format: str, put: Put) -> float:
    head = wav_head(RATE_HZ) if file_format == "wav" else b""

    async def pass_on(pcm: bytes) -> None:
        nonlocal head
        await put(head + pcm)
        head = b""

    return await speak(speech, tts, pass_on)


async def _pass_on(encoder: Coder, begun: trio.Event, put: Put) -> None:
    await begun.wait()
    while not isinstance(message := await encoder.receive(), wire.Done):
        assert isinstance(message, wire.Data)
        await put(message.data)


async def speak(speech: Speech, tts: Tts, put: Put) -> float:
    """Speak piece by piece; `put` PCM16 mono at `RATE_HZ`. Returns its seconds.

    The next piece is spoken once the one before was put: a slow listener holds up the engine
    for nobody else, and at most one piece of sound waits. Raises `EngineError` and `SpeechError`.
    """
    spoken = SpokenText(speech.voice, speech.language)
    voice = Voice(speech, tts, put)
    silent = True
    for piece in speech.pieces:
        await trio.lowlevel.checkpoint()  # of a long text, many pieces may be silent
        if heard := spoken.clause(piece):
            silent = False
            await voice.say(heard)
    if silent:
        raise SpeechError("There is nothing in the text that could be said.")
    await voice.finish()
    if not voice.sent:
        raise SpeechError("The engine made no sound of this text.")
    return voice.sent / (2 * RATE_HZ)


class Voice:
    """One voice that says piece after piece, as one stream of sound: PCM16 mono at `RATE_HZ`."""

    def __init__(self, speech: Speech, tts: Tts, put: Put) -> None:
        self._speech = speech
        self._tts = tts
        self._put = put
        self._resampler: StreamResampler | None = None
        self.sent = 0

    async def say(self, text: str) -> None:
        """Say what is heard of a piece. Raises `EngineError`."""
        speech = self._speech
        async with self._tts.speak(
            text, voice=speech.voice, speed=speech.speed, priority=speech.priority
        ) as chunks:
            async for chunk in chunks:
                if self._resampler is None or self._resampler.from_hz != chunk.sample_rate:
                    await self.finish()
                    self._resampler = StreamResampler(chunk.sample_rate, RATE_HZ)
                await self._put_portions(self._resampler.resample(chunk.pcm))

    async def finish(self) -> None:
        """Put what the resampler still holds."""
        if self._resampler is not None:
            await self._put_portions(self._resampler.flush())
            self._resampler = None

    async def _put_portions(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), PORTION_BYTES):
            portion = pcm[start : start + PORTION_BYTES]
            await self._put(portion)
            self.sent += len(portion)
