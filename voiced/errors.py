"""The one error tree of voiced.

Every error that may reach a person or a client derives from `VoicedError`: it has a stable
`code` for machines, an HTTP status, and a public message that helps without giving away
paths or tracebacks. Adapters map third-party exceptions to these at their edge.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

_ErrorT = TypeVar("_ErrorT", bound=BaseException)


class VoicedError(Exception):
    """Root of everything voiced raises on purpose.

    `str(error)` is for the log and the operator's terminal; `error.public` is what a client
    may see. Unless given, they are the same text.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, public: str | None = None) -> None:
        super().__init__(message)
        self.public = message if public is None else public


class SettingsError(VoicedError):
    """A settings file, environment variable or credential is unreadable or wrong."""

    code = "invalid_settings"
    exit_code = 2


class UsageError(VoicedError):
    """A command was called with arguments that cannot work."""

    code = "invalid_usage"
    exit_code = 2


class StartupError(VoicedError):
    """The daemon cannot start: port in use, state directory not writable, and the like."""

    code = "startup_failed"


class AudioError(VoicedError):
    """Audio that cannot be read or has the wrong shape."""

    code = "invalid_audio"
    status = 400


class DecodingFailed(AudioError):
    """Decoding broke down: most often the file is what does that, and would do it again."""


class SpeechError(VoicedError):
    """A text that nothing can be said of."""

    code = "nothing_to_say"
    status = 400


class MediaError(VoicedError):
    """Decoding or encoding broke down: its process crashed, hung, or took too long."""

    code = "media_failed"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message, public="The audio could not be converted.")


class StorageError(VoicedError):
    """A file cannot be kept on disk."""

    code = "storage_failed"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message, public="The server could not keep the file.")


class StorageFull(StorageError):
    """There is no room for a file."""

    code = "storage_full"
    status = 507

    def __init__(self, message: str) -> None:
        VoicedError.__init__(self, message, public="The server has no room for the file.")


class StoreError(VoicedError):
    """The database cannot be read or written now."""

    code = "store_failed"
    status = 503

    def __init__(self, message: str) -> None:
        super().__init__(message, public="The server's database cannot be used at the moment.")


class StoreFull(StoreError):
    """The disk is full: nothing more can be kept."""

    code = "storage_full"
    status = 507

    def __init__(self, message: str) -> None:
        VoicedError.__init__(self, message, public="The server's disk is full.")


class JobQueueFull(VoicedError):
    """So many jobs wait or are worked on that no further one is taken."""

    code = "job_queue_full"
    status = 429


class JobStillRuns(VoicedError):
    """A job was cancelled and takes long to end."""

    code = "job_still_running"
    status = 409


class JobStorageFull(VoicedError):
    """The files of all jobs take as much room as they may."""

    code = "job_storage_full"
    status = 507


class DownloadError(VoicedError):
    """A model could not be fetched: not there, not reachable, or not what it should be."""

    code = "download_failed"


class EngineError(VoicedError):
    """Something an engine did or could not do; the root of the engine errors."""

    code = "engine_error"
    status = 503


class ModelError(EngineError):
    """An engine's model or data cannot be loaded. Names the file and the cause."""

    code = "model_unusable"


class EngineCrashed(EngineError):
    """The engine's process ended, or was killed, before the request was finished."""

    code = "engine_crashed"


class EngineUnavailable(EngineError):
    """The engine is restarting, or its circuit is open after repeated failures.

    `retry_after_s`: when it is started again, in seconds from now, where that is known.
    """

    code = "engine_unavailable"

    def __init__(
        self, message: str, *, public: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, public=public)
        self.retry_after_s = retry_after_s


class TooHot(EngineUnavailable):
    """The processor is so hot that the engine works for conversations alone. What it was asked for
    otherwise is cancelled and refused until it has cooled down."""

    code = "too_hot"


class EngineBusy(EngineError):
    """The engine's queue is full; nothing was queued."""

    code = "engine_busy"
    status = 429


class EngineFailed(EngineError):
    """The engine answered the request with an error of its own."""

    code = "engine_failed"


class NoAnswer(EngineFailed):
    """A language model went on asking for tools and gave no answer."""

    code = "no_answer"


class ProviderFailed(EngineError):
    """A server that is used as an engine could not be reached, refused, or sent nonsense.

    `counts` is whether that tells against the server, and not merely against the request;
    `pause_s` is how long it asks to be left alone, where it does; `absent`, that there is no such
    path or model; `unreached`, that it took no request at all.
    """

    code = "provider_failed"

    def __init__(
        self,
        message: str,
        *,
        counts: bool = True,
        pause_s: float | None = None,
        absent: bool = False,
        unreached: bool = False,
    ) -> None:
        super().__init__(message, public="A service that this needs cannot be reached.")
        self.absent = absent
        self.unreached = unreached
        self.counts = counts
        self.pause_s = pause_s


class NotUnderstood(EngineError):
    """The assistant was asked to answer only what it understands, and this it does not."""

    code = "not_understood"


class ToolChoiceError(EngineError):
    """A reply had to call a tool, and the engine cannot: there is no such tool, or it cannot tell
    the arguments. Asking again changes nothing."""

    code = "tool_choice_unmet"
    status = 400


class ContextExceeded(EngineError):
    """What the model is asked is longer than it can take. Asking again changes nothing."""

    code = "context_length_exceeded"
    status = 400


class EnginePreempted(EngineError):
    """A low-priority request was cancelled because conversation needed the engine."""

    code = "engine_preempted"


class ToolError(VoicedError):
    """A tool was called with bad arguments, or could not do its work."""

    code = "tool_failed"
    status = 400


class ClientError(VoicedError):
    """The command line's own client could not reach, or lost, a daemon."""

    code = "connection_failed"


def leaves(group: BaseExceptionGroup[_ErrorT]) -> list[_ErrorT]:
    """The exceptions of a group, however deep, in order; never none."""
    found: list[_ErrorT] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
