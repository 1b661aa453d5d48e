"""`voiced bench`: what it refuses before it starts anything."""

from __future__ import annotations

import pytest

from tests.cli.commands import run_voiced


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), 2, b"BENCH"),
        (("nonsense",), 2, b"nonsense"),
        (("turn", "--turns", "0"), 2, b"below 1"),
        (("turn", "--frame-ms", "1"), 2, b"--frame-ms"),
        (("turn", "--wav", "/no/such.wav"), 1, b"/no/such.wav"),
        (("turn", "--url", "ws://127.0.0.1:1", "--turns", "1"), 1, b"nothing answers"),
        (("turn", "--url", "http://127.0.0.1:1"), 2, b"WebSocket URL"),
        (("sessions", "--least", "9", "--most", "3"), 2, b"--least"),
        (("soak", "--turns", "10"), 2, b"three samples"),
        (("ingest", "--pairs", "0"), 2, b"below 1"),
        (("heat", "--cores", "1000"), 2, b"this process may use"),
        (("heat", "--config", "/no/such.toml"), 2, b"/no/such.toml"),
    ],
)
async def test_what_cannot_be_measured_is_one_line(
    args: tuple[str, ...], code: int, said: bytes
) -> None:
    done = await run_voiced("bench", *args)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


async def test_help_names_the_benches() -> None:
    done = await run_voiced("bench", "--help")
    assert done.returncode == 0
    for name in (b"turn", b"sessions", b"soak", b"ingest", b"heat"):
        assert name in done.stdout
