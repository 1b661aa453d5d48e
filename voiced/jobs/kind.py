"""What a kind of job is, and what it is given to work with.

A kind knows how to do the work; everything else (the queue, when to run, heat, retries, what is
kept and for how long) is the runner's, who calls `run` again with the newest checkpoint whenever a
run was broken off: by heat, by an engine, by a stop of the daemon or by a power cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from voiced.errors import VoicedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INPUT_NAME = "input"
"""The uploaded file in the job's directory, whatever it was called where it came from."""

Device = Literal["auto", "cpu", "cuda"]

TakesFile = Literal["required", "optional", "never"]


class JobRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"
):
    """What is asked of a job: the base of each kind's own, frozen struct.

    A heir is declared with `frozen=True, kw_only=True, tag_field="type", tag="its kind"`. Its
    fields come from JSON or from the fields of a form, in which all values are text.
    """

    device: Device = "auto"


class JobFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a job's work that is done for good: a segment of a transcript, a stretch of a
    text that was spoken, a part of a summary. Times are seconds of the recording or speech."""

    index: int = -1
    """Its place, from 0; given by the store."""
    text: str = ""
    start_s: float | None = None
    end_s: float | None = None
    confidence: float | None = None
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    language: str = ""


class JobError(VoicedError):
    """A job cannot be done, and trying again would change nothing. Its public message is shown."""

    code = "job_failed"
    status = 400


class JobRefused(JobError):
    """A job cannot be done as it was asked for; `param` is the field that is to blame."""

    code = "invalid_value"

    def __init__(self, message: str, *, param: str) -> None:
        super().__init__(message)
        self.param = param


class Work(Protocol):
    """One run of a job, used by the one task that runs it."""

    @property
    def job_id(self) -> str: ...

    @property
    def request(self) -> Any:  # noqa: ANN401 - the kind's own type, which is not known here
        """The request, of the kind's `request_type`."""
        ...

    @property
    def directory(self) -> Path:
        """The job's own: `INPUT_NAME` lies here where a file came with it, and results go here."""
        ...

    @property
    def checkpoint(self) -> bytes | None:
        """What was committed last, by this run or an earlier one; None before the first."""
        ...

    async def commit(
        self,
        checkpoint: bytes,
        frames: Sequence[JobFrame] = (),
        progress: float | None = None,
    ) -> None:
        """Keep `checkpoint` in place of the last one and append `frames`, both or neither.

        `progress` is 0 to 100. Once this returns, neither `kill -9` nor a power cut takes it back.
        Raises `StoreError`. Cancelled, it was done wholly or not at all.
        """
        ...

    async def frames(self) -> list[JobFrame]:
        """All frames committed so far, in order. Raises `StoreError`."""
        ...

    async def publish(self, name: str, media_type: str) -> None:
        """Name the result: a file that lies whole in `directory` (written beside and renamed).

        It is brought to disk, and can be fetched once the job is completed. Raises `StoreError`.
        """
        ...

    def progress(self, percent: float) -> None:
        """Tell observers how far it is, 0 to 100. Not stored."""
        ...

    def warn(self, code: str, message: str) -> None:
        """Tell the client of something that it would want to know. Stored with the next commit."""
        ...

    def timing(self, engine: str, seconds: float) -> None:
        """An engine worked so long for this job. Stored with the next commit."""
        ...

    def used(self, device: str, *, fallback: bool = False) -> None:
        """What really did the work, where that is not the processor; `fallback` where something
        else was asked for. Stored with the next commit."""
        ...

    async def pause_point(self) -> None:
        """Return at once, unless it is hot: then the job is parked here until it has cooled down.

        Call it between commits, where little is open and nothing would have to be done again.
        """
        ...


class JobKind(Protocol):
    """Does one kind of job."""

    @property
    def name(self) -> str:
        """As in the field `type` of a request."""
        ...

    @property
    def request_type(self) -> type[JobRequest]:
        """What requests are decoded into; its tag is `name`."""
        ...

    @property
    def takes_file(self) -> TakesFile:
        """Whether a file comes with the request."""
        ...

    def check(self, request: Any, *, has_file: bool) -> JobRequest:  # noqa: ANN401 - see Work.request
        """The request as it is to be kept, with what must be taken down now.

        Raises `JobError` for what can be told to be impossible before anything is begun.
        """
        ...

    async def run(self, work: Work) -> None:
        """Start, or go on from `work.checkpoint`, to the end.

        Raises `JobError`, `AudioError` and the like where it cannot be done, `EngineError` and
        `MediaError` where an engine or coder broke down (it is tried again). Cancelled at any
        moment, which leaves nothing behind but what was committed.
        """
        ...
