"""`Tts` over `/audio/speech`: PCM, or WAV where a server knows nothing else, as it comes."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from voiced.audio.pcm import SAMPLE_BYTES
from voiced.engines.http.peer import ANY_MODEL
from voiced.engines.ports import EngineInfo, PcmChunk, Priority
from voiced.errors import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.http.peer import Body
    from voiced.engines.http.provider import Attempt, Provider
    from voiced.settings import SpeechProvider

MOST_BYTES = 64 << 20
"""Of one answer: ten minutes at the highest rate."""

MOST_HEAD_BYTES = 4096
RATES_HZ = range(8_000, 48_001)
FALLBACK_VOICE = "alloy"
"""A voice that OpenAI's own service has, and what imitates it."""


class HttpTts:
    """`Tts` over one server. Names of voices are passed on: it declares none of its own."""

    def __init__(self, provider: Provider, settings: SpeechProvider, own_voice: str) -> None:
        """`own_voice` is the one of the settings, which is our own engine's and not known there."""
        self._provider = provider
        self._settings = settings
        self._own_voice = own_voice
        self.info = EngineInfo(
            kind="tts",
            name=provider.name,
            version="",
            model=settings.model,
            sample_rates=(settings.sample_rate,),
        )

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[PcmChunk]]:
        """See `Tts.speak`. Raises `ProviderFailed` as soon as anything is amiss."""
        settings, provider = self._settings, self._provider
        asked = voice if voice != self._own_voice else ""
        request = {
            "model": settings.model or ANY_MODEL,
            "input": text,
            "voice": settings.voice or asked or FALLBACK_VOICE,
            "response_format": settings.format,
            "speed": speed,
        }
        with provider.attempt(priority) as attempt:
            async with provider.peer.post(
                "audio/speech",
                attempt.deadlines,
                most_bytes=MOST_BYTES,
                content=msgspec.json.encode({**request, **settings.options}),
            ) as body:
                if body.content_type.startswith(("text/", "application/json")):
                    raise ProviderFailed("its answer is no audio")
                yield _Speech(body, attempt, settings.sample_rate)


class _Speech:
    """The audio of one answer, as it comes."""

    def __init__(self, body: Body, attempt: Attempt, rate_hz: int) -> None:
        self._body = body
        self._attempt = attempt
        self._reader = PcmReader(rate_hz)
        self._ended = False

    def __aiter__(self) -> _Speech:
        return self

    async def __anext__(self) -> PcmChunk:
        while not self._ended:
            portion = await self._body.receive(self._attempt.deadlines)
            if not portion:
                self._ended = True
                self._reader.end()
                self._attempt.succeeded()
            elif pcm := self._reader.feed(portion):
                self._attempt.begun()
                return PcmChunk(pcm=pcm, sample_rate=self._reader.rate_hz)
        raise StopAsyncIteration


class PcmReader:
    """Whole samples out of portions of any size; takes the head off a WAV file. Sans-I/O."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._pending = b""
        self._head_read = False
        self._left_bytes: int | None = None
        self._had_samples = False

    def feed(self, portion: bytes) -> bytes:
        """The samples that are complete now. Raises `ProviderFailed` for a WAV file of another
        kind than PCM16 mono."""
        self._pending += portion
        if not self._head_read and not self._read_head():
            return b""
        usable = len(self._pending) - len(self._pending) % SAMPLE_BYTES
        pcm, self._pending = self._pending[:usable], self._pending[usable:]
        if self._left_bytes is not None:  # what stands behind the samples of a file is no sound
            pcm = pcm[: self._left_bytes]
            self._left_bytes -= len(pcm)
        self._had_samples = self._had_samples or bool(pcm)
        return pcm

    def end(self) -> None:
        """No more comes. Raises `ProviderFailed` where there was no sound at all."""
        if not self._had_samples:
            raise ProviderFailed("it sent no sound")

    def _read_head(self) -> bool:
        """Whether what comes next in `_pending` is samples."""
        if not b"RIFF".startswith(self._pending[:4]):
            self._head_read = True
            return True
        if len(self._pending) < 12:
            return False
        position = 12
        while len(self._pending) >= position + 8:
            name, size = struct.unpack_from("<4sI", self._pending, position)
            position += 8
            if name == b"data":
                self._pending = self._pending[position:]
                # Of a file that is still being made nobody knows the length.
                self._left_bytes = size if 0 < size < 0x7FFF_0000 else None
                self._head_read = True
                return True
            if name == b"fmt " and len(self._pending) >= position + 16:
                self._read_form(*struct.unpack_from("<HHIIHH", self._pending, position))
            position += size + size % 2
        if position > MOST_HEAD_BYTES or len(self._pending) > MOST_HEAD_BYTES:
            raise ProviderFailed("what it sent is no WAV file that can be read")
        return False

    def _read_form(
        self, kind: int, channels: int, rate_hz: int, byte_rate: int, align: int, bits: int
    ) -> None:
        if kind not in (1, 0xFFFE) or channels != 1 or bits != 16 or rate_hz not in RATES_HZ:
            raise ProviderFailed("what it sent is no WAV file of 16-bit samples in one channel")
        self.rate_hz = rate_hz
