"""`Stt` over `/audio/transcriptions`: an utterance is sent as one file once it is over."""

from __future__ import annotations

from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec
import trio

from voiced.audio.chunks import ChunkBuffer
from voiced.audio.files import encode_wav
from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.engines.http.peer import ANY_MODEL, CONNECTIONS
from voiced.engines.ports import EngineInfo, Partial, Priority, Transcript, Utterance
from voiced.engines.spec import MAX_AUDIO_S
from voiced.errors import AudioError, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from voiced.engines.http.provider import Provider

MOST_BYTES = 1 << 20
"""Of an answer: a hundred times what is said in five minutes."""

MOST_AUDIO_BYTES = int(MAX_AUDIO_S * SPEECH_HZ * SAMPLE_BYTES)


class _Transcription(msgspec.Struct):
    text: str


class HttpStt:
    """`Stt` over one server. It gives no partial transcripts and no word times."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.info = EngineInfo(
            kind="stt",
            name=provider.name,
            version="",
            model=provider.settings.model,
            concurrency=CONNECTIONS,
        )

    @asynccontextmanager
    async def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AsyncIterator[Utterance]:
        """See `Stt.transcribe`. Nothing is sent before the utterance is finished."""
        spoken = "" if language == "auto" else language  # who is not told finds it out
        fields = {"language": spoken, "prompt": prompt}
        # Whoever waits for an utterance to the end has it at the priority of a conversation.
        job = priority is Priority.JOB
        served = Priority.JOB if job else Priority.CONVERSATION
        yield _HttpUtterance(self._provider, fields, served)


class _HttpUtterance:
    """One utterance, kept until it is over."""

    def __init__(self, provider: Provider, fields: Mapping[str, str], priority: Priority) -> None:
        self._provider = provider
        self._priority = priority
        self._fields = fields
        self._audio = ChunkBuffer()

    @property
    def partial(self) -> Partial | None:
        """None: nothing is known before the end."""
        return None

    def ask(self) -> bool:
        """No answer will come."""
        return False

    async def answer(self) -> Partial | None:
        """None."""
        await trio.lowlevel.checkpoint()
        return None

    async def feed(self, pcm: bytes) -> None:
        """See `Utterance.feed`. Raises `AudioError` beyond the longest utterance."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if len(self._audio) + len(pcm) > MOST_AUDIO_BYTES:
            raise AudioError(f"an utterance is longer than {MAX_AUDIO_S:.0f} s")
        self._audio.append(pcm)

    async def finish(self) -> Transcript:
        """Send the audio and wait for the text. Raises `ProviderFailed`."""
        provider = self._provider
        pcm = self._audio.join()
        model, options = provider.settings.model or ANY_MODEL, provider.settings.options
        fields = {"model": model, **self._fields, "response_format": "json", **options}
        content, content_type = encode_form(
            {name: str(value) for name, value in fields.items() if value != ""},
            encode_wav(pcm, SPEECH_HZ),
        )
        with provider.attempt(self._priority) as attempt:
            async with provider.peer.post(
                "audio/transcriptions",
                attempt.deadlines,
                most_bytes=MOST_BYTES,
                content=content,
                content_type=content_type,
            ) as body:
                text = read_text(await body.whole(attempt.deadlines))
            attempt.succeeded()
        return Transcript(text=text, duration_s=len(pcm) / (SPEECH_HZ * SAMPLE_BYTES))


def read_text(answer: bytes) -> str:
    """The words in an answer. Raises `ProviderFailed` where it is of another shape."""
    try:
        return msgspec.json.decode(answer, type=_Transcription).text.strip()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProviderFailed("what it sent is no transcription") from error


def encode_form(fields: Mapping[str, str], wav: bytes) -> tuple[bytes, str]:
    """A form with a file, and its media type (RFC 7578)."""
    boundary = f"voiced-{token_hex(16)}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="speech.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    content = b"".join((*parts, head.encode(), wav, f"\r\n--{boundary}--\r\n".encode()))
    return content, f"multipart/form-data; boundary={boundary}"
