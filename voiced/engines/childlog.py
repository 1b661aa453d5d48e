"""What an engine's process writes to its stderr, as log events of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import structlog

_LEVELS = dict.fromkeys("0123", "error") | {"4": "warning", "7": "debug"}


def log_child_line(log: structlog.stdlib.BoundLogger, line: str) -> None:
    """Log a line at the level of its `<N>` prefix (as the journal reads it), else as info."""
    level, text = split_level(line)
    getattr(log, level)("engine says", line=text)


def split_level(line: str) -> tuple[str, str]:
    """The level that a line's `<N>` prefix stands for, and the line without it."""
    if line[:1] == "<" and line[2:3] == ">" and line[1].isdigit():
        return _LEVELS.get(line[1], "info"), line[3:]
    return "info", line
