"""schemathesis walks every operation of `/openapi.json`: no fault of ours, and no answer that the
description does not promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from tests.realtime.live import daemon
from tests.web.harness import make_app, running
from voiced.web.bodies import answer_json
from voiced.web.openapi import EventStream, describe, documents
from voiced.web.routes.models import ModelList
from voiced.web.sse import CONTENT_TYPE
from voiced.web.streaming import StreamedResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from quart import Response

CONFIG = Path(__file__).with_name("schemathesis.toml")
CEILING_S = 480.0
"""Ends a walk that hangs; one takes some ten seconds on an idle machine."""


def walk(where: str, *options: str) -> Sequence[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    return [*command, where, "--no-color", *options]


def test_no_request_makes_the_daemon_fail_or_say_what_is_not_written(tmp_path: Path) -> None:
    # Few jobs at once: it is the routes that are walked, not the engines.
    with daemon(tmp_path, VOICED_LLM__ENGINE="assistant", VOICED_JOBS__QUEUE="5") as running_:
        done = subprocess.run(
            walk(f"http://127.0.0.1:{running_.port}/openapi.json"),
            cwd=tmp_path,
            capture_output=True,
            timeout=CEILING_S,
            check=False,
        )
        faults = [line for line in running_.log if line["level"] in {"error", "critical"}]
    report = done.stdout.decode()
    assert done.returncode == 0, report
    assert "test cases" in report.lower()
    assert faults == []


async def test_a_route_that_fails_or_does_not_keep_its_word_is_found(tmp_path: Path) -> None:
    app = make_app()

    @app.get("/broken")
    @documents("Broken", tag="test", answers={200: ModelList})
    async def broken() -> Response:
        raise RuntimeError("a bug")

    @app.get("/liar")
    @documents("Lying", tag="test", answers={200: ModelList})
    async def liar() -> Response:
        return answer_json({"object": "list", "data": [{"id": 5}]})

    @app.get("/babbler")
    @documents(
        "Babbling",
        tag="test",
        answers={200: {"text/event-stream": EventStream(ModelList, "[DONE]")}},
    )
    async def babbler() -> Response:
        async def produce(put: Callable[[bytes], Awaitable[None]]) -> None:
            await put(b'data: {"object": "list"}\n\ndata: [DONE]\n\n')

        return StreamedResponse(produce, CONTENT_TYPE)

    # The app's own description was made before these routes.
    description = tmp_path / "openapi.json"
    description.write_bytes(msgspec.json.encode(describe(app)))
    three = ("--include-path-regex", "^/(broken|liar|babbler)$", "--phases", "fuzzing")
    async with running(app=app) as (_, port):
        done = await trio.run_process(
            walk(str(description), "--url", f"http://127.0.0.1:{port}", *three),
            cwd=tmp_path,
            capture_stdout=True,
            check=False,
        )
    report = done.stdout.decode()
    assert done.returncode == 1, report
    assert "GET /broken" in report
    assert "GET /liar" in report
    assert "GET /babbler" in report
