"""How late the daemon's loop wakes while all three engines work without a pause.

A daemon with the models listens to a session that streams speech, while somebody transcribes, asks
and has text spoken over HTTP, one request after the other for each engine.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from voiced.audio.files import encode_wav
from voiced.bench.cancels import QUESTION, STORY, TEXT
from voiced.bench.daemon import open_daemon
from voiced.bench.http import post
from voiced.bench.sessions import LAG_GOAL_MS, run_step
from voiced.bench.wakes import read_wakes, wakes_of
from voiced.client.microphone import INPUT_RATE_HZ
from voiced.errors import UsageError
from voiced.supervision.lag import LagMeter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from voiced.bench.daemon import Daemon
    from voiced.bench.hosts import Models

ANSWER_S: Final = 60.0
REPLY_TOKENS: Final = 64
FRAME_MS: Final = 20
BOUNDARY: Final = "voiced-bench"


class BusyReport(msgspec.Struct, frozen=True, kw_only=True):
    """How late the loop woke while all engines worked, and how many requests each has answered in
    that time. What was before it, the start of the daemon and of its engines, is not in it."""

    models: list[str]
    seconds: float
    lag_mean_ms: float
    lag_p50_ms: float
    """No more than that, as `lag_p99_ms`: the ends of buckets."""
    lag_p99_ms: float
    samples: int
    bench_p50_ms: float
    """How late the bench's own loop woke meanwhile, which does next to nothing: what the daemon's
    lag goes beyond that is its own, and the rest are the cores, which others have."""
    bench_p99_ms: float
    cpu_percent: float
    """Of all processes; 100 is a core."""
    answered: dict[str, int]
    goal_ms: float = LAG_GOAL_MS

    @property
    def missed(self) -> list[str]:
        """What is not as it should be, a line each."""
        lines = [f"{kind}: not one answer" for kind, count in self.answered.items() if not count]
        if not self.lag_p99_ms <= self.goal_ms:
            lines.append(
                f"loop lag with all engines busy, p99: up to {self.lag_p99_ms:g} ms, "
                f"goal {self.goal_ms:g}"
            )
        return lines


async def measure_busy(
    models: Models, pcm: bytes, seconds: float, *, frame_ms: int = FRAME_MS
) -> BusyReport:
    """With the first model of each kind. `pcm` is speech, PCM16 mono at 24 kHz, which is streamed
    in frames of `frame_ms`.

    Raises `UsageError` where a kind has no model, `StartupError`, and `ClientError`, perhaps in a
    group, where a request is not answered.
    """
    if models.missing:
        raise UsageError(
            f"{models.directory} holds no model for {', '.join(models.missing)}; it takes one for "
            "each engine to have all of them busy"
        )
    chosen = (models.whisper[0], models.llama[0], models.piper[0])
    answered = {"stt": 0, "llm": 0, "tts": 0}
    async with open_daemon(settings_for(models, *chosen)) as daemon, trio.open_nursery() as nursery:
        requests: dict[str, Callable[[], Awaitable[bytes]]] = {
            "stt": partial(transcribe, daemon, pcm),
            "llm": partial(ask, daemon),
            "tts": partial(speak, daemon),
        }

        for request in requests.values():
            await request()  # before the time begins: it works, and has its memory

        async def keep_busy(kind: str) -> None:
            while True:
                await requests[kind]()
                answered[kind] += 1

        for kind in requests:
            nursery.start_soon(keep_busy, kind)
        own = LagMeter(warn_ms=inf)
        await nursery.start(own.serve)
        began, before = trio.current_time(), await read_wakes(daemon.address)
        step = await run_step(1, frame_ms=frame_ms, seconds=seconds, pcm=pcm, daemon=daemon)
        wakes = (await read_wakes(daemon.address)).since(before)
        took_s = trio.current_time() - began
        nursery.cancel_scope.cancel(reason="measured")
    return BusyReport(
        models=[path.stem for path in chosen],
        seconds=took_s,
        lag_mean_ms=wakes.mean_ms,
        lag_p50_ms=wakes.quantile_ms(0.5),
        lag_p99_ms=wakes.quantile_ms(0.99),
        samples=wakes.count,
        bench_p50_ms=wakes_of(own).quantile_ms(0.5),
        bench_p99_ms=wakes_of(own).quantile_ms(0.99),
        cpu_percent=step.cpu_percent,
        answered=answered,
    )


def settings_for(models: Models, whisper: Path, llama: Path, piper: Path) -> dict[str, str]:
    """A daemon with these engines, and nothing of the assistant in front of the model."""
    return {
        "VOICED_STORE__MODELS": str(models.directory),
        "VOICED_STT__ENGINE": "whisper",
        "VOICED_STT__MODEL": str(whisper),
        "VOICED_LLM__ENGINE": "llama",
        "VOICED_LLM__MODEL": str(llama),
        "VOICED_LLM__FAST_PATH": "false",
        "VOICED_TTS__ENGINE": "piper",
        "VOICED_TTS__VOICE": str(piper),
    }


async def transcribe(daemon: Daemon, pcm: bytes) -> bytes:
    """Speech as a file, as any client sends one."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    body = b"".join(
        (
            part.format("model", "").encode() + b"voiced\r\n",
            part.format("file", '; filename="speech.wav"').encode(),
            encode_wav(pcm, INPUT_RATE_HZ),
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        )
    )
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    path = "/v1/audio/transcriptions"
    return await post(daemon.address, path, body, content_type=kind, within_s=ANSWER_S)


async def ask(daemon: Daemon) -> bytes:
    """A question of the language model, without the daemon's tools: in the vocabulary of a random
    model their JSON is thousands of tokens."""
    asked: dict[str, Any] = {
        "model": "voiced",
        "messages": [
            {"role": "system", "content": STORY},
            {"role": "user", "content": QUESTION},
        ],
        "max_tokens": REPLY_TOKENS,
        "tool_choice": "none",
    }
    return await _post(daemon, "/v1/chat/completions", asked)


async def speak(daemon: Daemon) -> bytes:
    """Text to be spoken."""
    asked = {"model": "voiced", "input": TEXT, "voice": "alloy", "response_format": "pcm"}
    return await _post(daemon, "/v1/audio/speech", asked)


async def _post(daemon: Daemon, path: str, asked: dict[str, Any]) -> bytes:
    return await post(daemon.address, path, msgspec.json.encode(asked), within_s=ANSWER_S)
