"""Whisper by the engine against faster-whisper's `transcribe` with its defaults."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.bench.naive import Asked
from voiced.bench.pairs import WHOLE, Comparison, compare, timed
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Priority
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.bench.rival import Rival
    from voiced.engines.host import EngineHost

NAIVE: Final = "faster-whisper, transcribe() with its defaults"

GOALS: Final = {5: 10.0, 10: 5.0}
"""Seconds of speech, and how many times cheaper to encode them should be."""


def lasting(pcm: bytes, seconds: int) -> bytes:
    """Speech of that length: said again and again, and cut."""
    wanted = SAMPLE_BYTES * SPEECH_HZ * seconds
    return (pcm * (wanted // len(pcm) + 1))[:wanted]


async def compare_stt(
    host: EngineHost, rival: Rival, pcm: bytes, pairs: int, tell: Callable[[str], None]
) -> list[Comparison]:
    """Encoding alone, timed where it runs by both, and from audio to text; with a language that is
    known to ours, as a setting, and not to the other, whose default is to find out.

    Raises `EngineFailed` where ours hears nothing in what the other one hears something in: the
    figures would be of work that was not done.
    """
    found = []
    for seconds, goal in GOALS.items():
        speech = lasting(pcm, seconds)
        naively = (await rival.ask(Asked(op="transcribe", pcm=speech))).heard
        if naively and not await transcribe(host, speech):
            raise EngineFailed(
                f"of {seconds} s of speech the engine hears nothing, and faster-whisper {naively!r}"
            )
        found += [
            await compare(
                f"encode {seconds} s",
                partial(_encode, host, speech),
                partial(rival.spend, Asked(op="encode", pcm=speech)),
                pairs=pairs,
                goal=goal,
                tell=tell,
            ),
            await compare(
                f"transcribe {seconds} s",
                partial(timed, partial(transcribe, host, speech)),
                partial(rival.spend, Asked(op="transcribe", pcm=speech)),
                pairs=pairs,
                tell=tell,
            ),
        ]
    return found


async def _encode(host: EngineHost, speech: bytes) -> dict[str, float]:
    async with host.request("encode", {}) as call:
        await call.send_audio(speech)
        call.end_audio()
        return {WHOLE: (await call.result())["ms"]}


async def transcribe(host: EngineHost, speech: bytes) -> str:
    """The text of speech that is all there."""
    async with EngineStt(host).transcribe(
        language="en", priority=Priority.CONVERSATION
    ) as utterance:
        await utterance.feed(speech)
        return (await utterance.finish()).text
