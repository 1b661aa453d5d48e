"""What observers of the daemon are told: the payload of each type of message."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9_.]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(min_length=1, max_length=2_000)]
Text = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0.0)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]


class Payload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all payloads."""


class Mergeable(Payload, frozen=True, kw_only=True):
    """A payload that may stand for others that were not sent, since their observer read too
    slowly. `coalesced` says for how many: older ones about the same thing, or, of a warning or
    an error, the very same again."""

    coalesced: Count = 0


class Frame(Mergeable, frozen=True, kw_only=True):
    """A finished segment of a job, the newest one; `start_s` and `end_s` lie in its recording or
    its speech. Where `coalesced` is not 0, so many segments before it are to be had from
    `GET /v1/jobs/{job_id}` only."""

    job_id: Name
    index: Count
    start_s: Amount
    end_s: Amount
    text: Text


class PartialResult(Mergeable, frozen=True, kw_only=True):
    """What a session is at. It is `listening`, `hearing` somebody, has `heard` them and waits for
    their words, is `answering`, or `speaking`. `text` is what was understood or is said so far,
    where the setting `insights.transcripts` allows it, else null. `timings_ms` has the stages of a
    finished response."""

    session_id: Name
    state: Literal["opened", "hearing", "heard", "answering", "speaking", "listening", "closed"]
    item_id: Name | None = None
    text: Text | None = None
    timings_ms: dict[Word, Amount] = {}


class Progress(Mergeable, frozen=True, kw_only=True):
    """How far a job is; `kind` is its type, `reason` why it waits, failed or was cancelled."""

    job_id: Name
    kind: Word
    status: Literal["queued", "running", "parked", "completed", "failed", "cancelled"]
    percent: Percent
    reason: Words | None = None


class Timing(Struct, frozen=True, kw_only=True):
    """How long something takes, over the last times that it was done."""

    p50_ms: Amount
    p95_ms: Amount
    count: Count


class PluginStatus(Mergeable, frozen=True, kw_only=True):
    """How a part of the daemon does: an engine or a server that is used as one (`kind` stt, llm,
    tts, vad), the thermal supervision (`thermal`, its level is the `state`), a tool. `reason` says
    in words why it is not as it should be."""

    kind: Word
    name: Name
    state: Word
    reason: Words | None = None
    restarts: Count = 0
    queue: Count = 0
    running: Count = 0
    timings: dict[Word, Timing] = {}


class Told(Mergeable, frozen=True, kw_only=True):
    """Something for a person: a stable `code`, a sentence, and the id or the name of what it is
    about, where it is about one thing."""

    code: Word
    message: Words
    subject: Name | None = None


class Warning_(Told, frozen=True, kw_only=True):
    """Something is not as it should be, and the daemon copes. (`Warning` is Python's own.)"""


class Fault(Told, frozen=True, kw_only=True):
    """Something failed: an engine, a job, a session, or what an observer asked for."""


class Beat(Payload, frozen=True, kw_only=True):
    """A ping, or the pong to it, which has the same `sequence`."""

    sequence: Count = 0


class Metadata(Payload, frozen=True, kw_only=True):
    """What the daemon is, and how much of everything there is. The first message of a connection;
    `snapshot` further ones then say how everything is now, before what happens from then on."""

    version: Name
    uptime_s: Amount
    sessions: Count
    observers: Count
    engines: dict[Word, Name]
    heat: Word
    jobs: dict[Word, Count] = {}
    settings: dict[Word, str | int | float | bool] = {}
    snapshot: Count = 0


Report = Frame | PartialResult | Progress | PluginStatus | Warning_ | Fault | Metadata
"""What the parts of the daemon tell."""
