"""Logging, configured once: one JSON object a line for machines, a console rendering for people.

Under systemd each line begins with the journal's priority, `<N>`, which it takes off again. The
libraries' own logging (hypercorn, quart, anything else on `logging`) goes the same way, from
warnings upwards.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
import structlog

from voiced.telemetry.sink import LineSink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

    from voiced.settings import Log

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

# sd-daemon(3): 7 debug, 6 info, 4 warning, 3 error, 2 critical.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

# The journal splits a line at 48 KiB by default, which would leave two halves of a JSON object.
MAX_LINE_CHARS = 40_000


def configure_logs(
    settings: Log,
    stream: TextIO | None = None,
    *,
    journal: bool | None = None,
) -> None:
    """Send all logging to `stream`, by default stderr; to be called once, by the command.

    `journal` puts the priority in front of each line; by default that is decided by
    `$JOURNAL_STREAM`. Lines are written as they come and never kept back; while nobody takes them
    they are dropped and counted (`LineSink`).
    """
    stream = sys.stderr if stream is None else stream
    if journal is None:
        journal = is_journal(stream)
    wanted = settings.format
    if wanted == "auto":
        wanted = "console" if not journal and _is_terminal(stream) else "json"
    level = LEVELS[settings.level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    ending: list[Processor] = (
        [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_traceback),
            _JsonLine(journal=journal),
        ]
        if wanted == "json"
        else [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=_is_terminal(stream) and not os.environ.get("NO_COLOR"),
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    )
    sink = LineSink(stream)
    notice = partial(_notice, ending)
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name="": _Logger(sink, notice, name),
        # A logger made before this call must follow it too, in tests above all.
        cache_logger_on_first_use=False,
    )
    handler = _Handler(_Logger(sink, notice), [*shared, *ending])
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _Handler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def is_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """True where `stream` is the journal's own socket: `$JOURNAL_STREAM` names device and inode.

    The variable alone proves nothing, since children inherit it with another stderr.
    """
    try:
        device, inode = environ.get("JOURNAL_STREAM", "").split(":")
        status = os.fstat(stream.fileno())
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (ValueError, OSError, io.UnsupportedOperation):
        return False


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


class _Logger:
    """What structlog hands a rendered line to, whatever its level."""

    def __init__(self, sink: LineSink, notice: Callable[[int], str], name: str = "") -> None:
        self._sink = sink
        self._notice = notice
        self.name = name

    def msg(self, line: str) -> None:
        self._sink.write(line, self._notice)

    log = debug = info = warning = warn = error = critical = fatal = exception = msg


def _add_logger_name(logger: WrappedLogger, _: str, event: EventDict) -> EventDict:
    if name := getattr(logger, "name", ""):
        event.setdefault("logger", name)
    return event


class _JsonLine:
    """Renders an event as one JSON line, with what matters first."""

    def __init__(self, *, journal: bool) -> None:
        self._journal = journal
        # Anything that is not JSON by itself is logged as its repr rather than not at all.
        self._encoder = msgspec.json.Encoder(enc_hook=repr)

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> str:
        level = str(event.pop("level", "info"))
        line: dict[str, Any] = {
            "time": event.pop("timestamp", None),
            "level": level,
            "event": event.pop("event", ""),
            **event,
        }
        text = self._encode(line)
        if len(text) > MAX_LINE_CHARS:
            text = self._encode({key: _shortened(value) for key, value in line.items()})
        return f"<{_PRIORITIES.get(level, 6)}>{text}" if self._journal else text

    def _encode(self, line: dict[str, Any]) -> str:
        try:
            return self._encoder.encode(line).decode()
        except (TypeError, ValueError, RecursionError):
            # Surrogates, or a list within itself.
            plain = {str(key): _shortened(_plain(value)) for key, value in line.items()}
            return self._encoder.encode(plain).decode()


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode()


def _shortened(value: object) -> object:
    text = value if isinstance(value, str) else repr(value)
    return value if len(text) <= 2000 else f"{text[:1000]} ... {text[-1000:]}"


def _traceback(exc_info: ExcInfo) -> str:
    """The traceback as text; JSON escapes its line ends, which makes it one line."""
    return "".join(traceback.format_exception(*exc_info)).rstrip()


class _Handler(logging.Handler):
    """Hands a record of the `logging` module to structlog's processors."""

    def __init__(self, logger: _Logger, processors: list[Processor]) -> None:
        super().__init__()
        self._logger = logger
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._logger.msg(self._render(record))
        except Exception:
            self.handleError(record)

    def _render(self, record: logging.LogRecord) -> str:
        event: EventDict = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        name = record.levelname.lower()
        return _rendered(self._processors, name if name in LEVELS else "info", event)


def _rendered(processors: list[Processor], level: str, event: EventDict) -> str:
    result: Any = event
    for processor in processors:
        result = processor(None, level, result)
    return str(result)


def _notice(ending: list[Processor], dropped: int) -> str:
    event = {"event": "drop log lines that nobody took", "level": "warning", "lines": dropped}
    return _rendered(ending, "warning", event)
