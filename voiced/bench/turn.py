"""How long an answer takes, and where that time goes."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from voiced.bench.daemon import STUB_MS
from voiced.bench.stats import Summary, summarise
from voiced.client.connection import open_client
from voiced.client.exchange import SPOKEN_SESSION
from voiced.client.turn import TurnRecorder, run_spoken_turn
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voiced.bench.clip import Clip
    from voiced.bench.daemon import Daemon

TURN_S: Final = 60.0
_VARIED_S: Final = 0.064

STAGES: Final = {
    "vad": "VAD: end of speech to speech_stopped",
    "stt": "speech recognition",
    "assistant": "assistant, to its first text",
    "tts": "speech synthesis, to its first sound",
    "server": "between these, in the daemon",
    "transport": "transport, and the client's wake-up",
}
"""The stages of a turn, in order; together they are end of speech to first audio."""


class TurnFigures(msgspec.Struct, frozen=True):
    """One turn, in milliseconds. `stages` is empty where the server tells no stage times."""

    first_text_ms: float
    first_audio_ms: float
    silence_ms: float
    client_late_ms: float
    most_ahead_s: float
    stages: dict[str, float]


def read_turn(turn: TurnRecorder, silence_ms: float, client_late_ms: float) -> TurnFigures:
    """The figures of a finished turn. Raises `ClientError` where it was not answered aloud.

    The server's own stage times come with `response.done`: `stt` from the commit,
    `llm_first_text` and `tts_first_audio` each from when the engine was asked, and `total` from
    the commit to the first audio on its way out.
    """
    marks = turn.marks
    end, audio, stopped, committed = (
        marks.end_of_speech,
        marks.first_audio,
        marks.speech_stopped,
        marks.committed,
    )
    if turn.status != "completed":
        reason = f": {turn.status_reason}" if turn.status_reason else ""
        raise ClientError(f"a response ended as {turn.status or 'nothing'}{reason}")
    if end is None or audio is None or stopped is None or committed is None:
        raise ClientError("a turn went by without speech events or audio")
    stages: dict[str, float] = {}
    timing = turn.timing_ms
    if {"stt", "llm_first_text", "tts_first_audio", "total"} <= timing.keys():
        engines = timing["stt"] + timing["llm_first_text"] + timing["tts_first_audio"]
        stages = {
            "vad": (stopped - end) * 1000,
            "stt": timing["stt"],
            "assistant": timing["llm_first_text"],
            "tts": timing["tts_first_audio"],
            "server": timing["total"] - engines,
            "transport": (audio - stopped) * 1000 - timing["total"],
        }
    text = audio if marks.first_text is None else marks.first_text
    return TurnFigures(
        first_text_ms=(text - end) * 1000,
        first_audio_ms=(audio - end) * 1000,
        silence_ms=silence_ms,
        client_late_ms=client_late_ms,
        most_ahead_s=turn.most_ahead_s,
        stages=stages,
    )


def overhead_ms(figures: TurnFigures) -> float:
    """What a turn with stub engines took beyond the stubs and the silence."""
    return figures.first_audio_ms - sum(STUB_MS.values()) - figures.silence_ms


def vary_start(clip: Clip, turn: int) -> Clip:
    """The clip for the turn of this number, begun up to 64 ms later; the same in every run.

    A detector looks at chunks of some fixed length. Always begun alike, every turn would end at
    the same point of a chunk, and the spread of the figures would be that of one lucky case.
    """
    return clip.delayed(random.Random(turn).uniform(0.0, _VARIED_S))


async def measure_turn(daemon: Daemon, clip: Clip, frame_ms: int) -> TurnFigures:
    """Take one spoken turn in a session of its own. Raises `ClientError`."""
    with trio.move_on_after(TURN_S):
        async with open_client(daemon.url, daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            microphone = clip.microphone(frame_ms)
            turn = await run_spoken_turn(client, microphone)
            return read_turn(turn, silence_of(client.session), microphone.latest_s * 1000)
    raise ClientError(f"a turn took longer than {TURN_S:g} s")


def silence_of(session: Mapping[str, Any]) -> float:
    """The silence that ends a turn in this session, in milliseconds."""
    detection = session.get("audio", {}).get("input", {}).get("turn_detection") or {}
    return float(detection.get("silence_duration_ms", 0))


async def measure_paired(
    daemons: Mapping[str, Daemon],
    clip: Clip,
    *,
    turns: int,
    frame_ms: int,
    advance: Callable[[float], None],
) -> dict[str, list[TurnFigures]]:
    """Take turns with each daemon alternately, who goes first changing with each pair.

    What disturbs the machine for a while then disturbs all of them alike.
    """
    figures: dict[str, list[TurnFigures]] = {name: [] for name in daemons}
    done = count(1)
    for pair in range(turns):
        names = list(daemons)[:: 1 if pair % 2 == 0 else -1]
        for name in names:
            varied = vary_start(clip, pair)
            figures[name].append(await measure_turn(daemons[name], varied, frame_ms))
            advance(next(done))
    return figures


async def measure_crowd(
    daemon: Daemon,
    clip: Clip,
    *,
    sessions: int,
    turns: int,
    frame_ms: int,
    advance: Callable[[float], None],
) -> list[TurnFigures]:
    """So many sessions at once, each taking so many turns; their starts spread over a second."""
    figures: list[TurnFigures] = []

    async def converse(number: int) -> None:
        await trio.sleep(number / sessions)
        for turn in range(turns):
            varied = vary_start(clip, number * turns + turn)
            figures.append(await measure_turn(daemon, varied, frame_ms))
            advance(len(figures))

    async with trio.open_nursery() as nursery:
        for number in range(sessions):
            nursery.start_soon(converse, number)
    return figures


class TurnReport(msgspec.Struct, frozen=True):
    """One configuration's turns, summarised."""

    name: str
    first_text_ms: Summary
    first_audio_ms: Summary
    overhead_ms: Summary | None
    stages_ms: dict[str, Summary]
    client_late_ms: Summary


def report_turns(name: str, figures: Sequence[TurnFigures], *, stubs: bool) -> TurnReport:
    """Summarise; the overhead only where the engines were stubs."""
    staged = [one.stages for one in figures if one.stages]
    return TurnReport(
        name=name,
        first_text_ms=summarise([one.first_text_ms for one in figures]),
        first_audio_ms=summarise([one.first_audio_ms for one in figures]),
        overhead_ms=summarise([overhead_ms(one) for one in figures]) if stubs else None,
        stages_ms={stage: summarise([one[stage] for one in staged]) for stage in STAGES}
        if staged
        else {},
        client_late_ms=summarise([one.client_late_ms for one in figures]),
    )
