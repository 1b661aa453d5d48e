"""`voiced insights`, run as a process as a user runs it."""

from __future__ import annotations

import json

import trio

from tests.cli.commands import run_voiced
from tests.realtime.test_observing import watched
from tests.web.harness import REMOTE, make_settings, until
from voiced.telemetry.insights import Insights, Warning_


def url_of(port: int) -> str:
    return f"ws://localhost:{port}"


async def test_how_things_are_for_people() -> None:
    async with watched() as (insights, port):
        insights.warning(Warning_(code="hot", message="The processor is hot."))
        done = await run_voiced("insights", "--once", "--url", url_of(port))
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    kinds = [line.split()[1] for line in lines]
    assert kinds == ["metadata", "plugin_status", "warning"]
    assert lines[1].endswith("tts espeak: ready")
    assert lines[2].endswith("hot: The processor is hot.")


async def test_some_types_for_machines() -> None:
    async with watched() as (insights, port):
        insights.warning(Warning_(code="hot", message="The processor is hot."))
        done = await run_voiced(
            "insights", "--once", "--json", "--types", "warning,progress", "--url", url_of(port)
        )
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["payload"]["code"] == "hot"


async def goodbye(insights: Insights) -> None:
    """Tell who comes one thing, and end."""
    await until(lambda: insights.observers == 1)
    insights.warning(Warning_(code="hot", message="The processor is hot."))
    insights.say_goodbye()


async def test_it_goes_on_until_the_daemon_ends() -> None:
    async with watched() as (insights, port), trio.open_nursery() as nursery:
        nursery.start_soon(goodbye, insights)
        done = await run_voiced("insights", "--types", "warning", "--url", url_of(port))
    assert done.returncode == 1
    assert done.stdout.endswith(b"hot: The processor is hot.\n")
    assert done.stderr.count(b"\n") == 1
    assert b"shutting down (code 1001)" in done.stderr


async def test_what_cannot_be_is_said_in_one_line() -> None:
    done = await run_voiced("insights", "--types", "gossip")
    assert done.returncode == 2
    assert b"--types" in done.stderr
    assert b"'gossip'" in done.stderr
    async with watched(make_settings(token="s3cret"), remote=REMOTE) as (_, port):
        done = await run_voiced("insights", "--url", url_of(port))
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"VOICED_AUTH__TOKEN" in done.stderr
