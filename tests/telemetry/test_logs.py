"""Log lines as the journal, a machine and a person get them."""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from voiced.settings import Log
from voiced.telemetry.logs import configure_logs, is_journal
from voiced.telemetry.sink import CHUNK_BYTES, LineSink

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_what_matters_first(stream: io.StringIO) -> None:
    configure_logs(Log(), stream)
    structlog.get_logger("voiced.web").info("accept connection", port=8080)
    (line,) = _lines(stream)
    assert list(line)[:3] == ["time", "level", "event"]
    assert line["time"].endswith("Z")
    assert {**line, "time": ""} == {
        "time": "",
        "level": "info",
        "event": "accept connection",
        "port": 8080,
        "logger": "voiced.web",
    }


def test_the_journal_gets_the_priority_of_each_line(stream: io.StringIO) -> None:
    configure_logs(Log(level="debug"), stream, journal=True)
    log = structlog.get_logger()
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("happen")
    assert [line[:4] for line in stream.getvalue().splitlines()] == [
        f"<{priority}>{{" for priority in (7, 6, 4, 3, 2)
    ]


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    configure_logs(Log(level="warning"), stream)
    log = structlog.get_logger()
    log.info("happen")
    log.warning("fail")
    assert [line["event"] for line in _lines(stream)] == ["fail"]


def test_a_logger_from_before_the_configuration_follows_it(stream: io.StringIO) -> None:
    log = structlog.get_logger("early")
    configure_logs(Log(), stream)
    log.info("happen")
    assert _lines(stream)[0]["logger"] == "early"


def test_bound_context_is_on_every_line_of_its_block(stream: io.StringIO) -> None:
    configure_logs(Log(), stream)
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(session="sess_1"):
        log.info("begin")
    log.info("end")
    begin, end = _lines(stream)
    assert begin["session"] == "sess_1"
    assert "session" not in end


def test_an_exception_is_a_field_of_one_line(stream: io.StringIO) -> None:
    configure_logs(Log(), stream)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        structlog.get_logger().exception("fail")
    (line,) = _lines(stream)
    assert line["level"] == "error"
    assert "ValueError: first\nsecond" in line["exception"]
    assert "exc_info" not in line


def test_values_that_are_not_json_are_shown_all_the_same(stream: io.StringIO) -> None:
    configure_logs(Log(), stream)
    endless: list[object] = []
    endless.append(endless)
    structlog.get_logger().info("happen", odd={1, 2}, loop=endless, half="\udc80", kind=object)
    (line,) = _lines(stream)
    assert line["event"] == "happen"
    assert line["half"] == "\\udc80"
    assert line["loop"] == "[[...]]"


def test_a_huge_value_does_not_tear_the_line_in_the_journal(stream: io.StringIO) -> None:
    configure_logs(Log(), stream)
    structlog.get_logger().info("happen", text="x" * 1_000_000)
    assert len(stream.getvalue()) < 48 * 1024
    assert _lines(stream)[0]["event"] == "happen"


def test_libraries_and_warnings_go_the_same_way(stream: io.StringIO) -> None:
    configure_logs(Log(), stream, journal=True)
    logging.getLogger("hypercorn.error").info("not this")
    logging.getLogger("hypercorn.error").warning("lost %d", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("<4>")
    assert json.loads(first[3:])["event"] == "lost 3"
    assert json.loads(first[3:])["logger"] == "hypercorn.error"
    assert "DeprecationWarning: old" in json.loads(second[3:])["event"]


def test_configuring_twice_writes_each_line_once(stream: io.StringIO) -> None:
    configure_logs(Log(), stream)
    configure_logs(Log(), stream)
    logging.getLogger("quart.app").error("fail")
    assert len(_lines(stream)) == 1


def test_people_get_a_console_rendering(stream: io.StringIO) -> None:
    configure_logs(Log(format="console"), stream)
    structlog.get_logger("voiced.web").warning("refuse connection", reason="too many")
    assert "refuse connection" in stream.getvalue()
    assert "reason='too many'" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()  # colours are for terminals


def test_the_journal_is_known_by_device_and_inode() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as ours:
        status = os.fstat(writer)
        named = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(ours, named)
        assert not is_journal(ours, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(ours, {"JOURNAL_STREAM": "nonsense"})
        assert not is_journal(ours, {})
        assert not is_journal(io.StringIO(), named)


def test_a_reader_that_is_stuck_does_not_stop_the_daemon() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as theirs, os.fdopen(writer, "w") as ours:
        sink = LineSink(ours)
        written = 0
        while not sink.dropped:
            sink.write("x" * (3 * CHUNK_BYTES // 2))
            written += 1
        sink.write("y")
        assert sink.dropped == 2
        os.set_blocking(theirs.fileno(), False)
        received = _drain(theirs)
        sink.write("z", lambda dropped: f"dropped {dropped}")
        received += _drain(theirs)
    lines = received.decode().splitlines()
    assert lines[-2:] == ["dropped 2", "z"]
    assert sum(len(line) == 3 * CHUNK_BYTES // 2 for line in lines) == written - 1


def _drain(pipe: io.FileIO) -> bytes:
    data = b""
    while chunk := pipe.read(65_536):
        data += chunk
    return data


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as ours:
        configure_logs(Log(), ours)
        structlog.get_logger().info("happen")
    structlog.get_logger().info("happen to a closed stream")
