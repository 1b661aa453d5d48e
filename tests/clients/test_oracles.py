"""The oracles themselves: that each refuses what the protocol sheet (7.3, 7.4) says breaks its
client, and that a run of tests in which that happens fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients import oracles
from tests.clients.oracles import BadFrame, judge, refused_by_zod

ROOT = Path(__file__).resolve().parent.parent.parent
IDS = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
HEARD = "conversation.item.input_audio_transcription"

needs_node = pytest.mark.skipif(
    oracles.why_no_node() is not None, reason=oracles.why_no_node() or ""
)


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "event_id": "event_1", **fields})


def message(*content: dict[str, Any], **fields: object) -> str:
    item: dict[str, object] = {
        "id": "i",
        "type": "message",
        "role": "user",
        "status": "completed",
        **fields,
    }
    item["content"] = list(content)
    return frame("conversation.item.added", previous_item_id=None, item=item)


GOOD = {
    "typed": message({"type": "input_text", "text": "hello"}),
    "spoken": message({"type": "input_audio", "transcript": None}),
    "delta": frame("response.output_audio.delta", delta="AAAA", **IDS),
    "error": frame(
        "error", error={"type": "t", "message": "m", "code": None, "param": None, "event_id": None}
    ),
    "an extra field": frame("input_audio_buffer.cleared", voiced={"beat": 1}),
}
BAD_IN_PYTHON = {
    "an event of nobody's": frame("response.voiced", **IDS),
    "7.4-10, no usage": frame(f"{HEARD}.completed", item_id="i", content_index=0, transcript="x"),
    "7.4-12, the item's word for the part": frame(
        "response.content_part.added", part={"type": "output_audio", "transcript": ""}, **IDS
    ),
    "7.4-14, half a millisecond": frame(
        "input_audio_buffer.speech_started", audio_start_ms=12.5, item_id="i"
    ),
    "a number in a string": frame(
        "input_audio_buffer.speech_started", audio_start_ms="12", item_id="i"
    ),
    "7.4-16, a limit on something else": frame(
        "rate_limits.updated",
        rate_limits=[{"name": "audio", "limit": 1, "remaining": 1, "reset_seconds": 1.0}],
    ),
    "not JSON": "nonsense",
}
BAD_IN_NODE = {
    "7.3-2, speech without a transcript": message({"type": "input_audio"}),
    "7.4-8, an image": message({"type": "input_image", "image_url": "data:,"}),
    "7.4-9, a null that applies to nothing": message(
        {"type": "input_text", "text": "x"}, call_id=None
    ),
    "7.4-11, a failure with code null": frame(
        f"{HEARD}.failed", item_id="i", content_index=0, error={"type": "t", "code": None}
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_let_pass(name: str) -> None:
    assert judge(GOOD[name]) == json.loads(GOOD[name])


@pytest.mark.parametrize("name", BAD_IN_PYTHON)
def test_the_openai_package_refuses(name: str) -> None:
    with pytest.raises(BadFrame, match="openai for Python"):
        judge(BAD_IN_PYTHON[name])


@needs_node
def test_agents_realtime_takes_what_is_right_and_refuses_what_breaks_it() -> None:
    frames = [*GOOD.values(), *BAD_IN_NODE.values()]
    refused = refused_by_zod(frames)
    assert sorted(refused) == list(range(len(GOOD), len(frames))), refused
    assert refused[len(GOOD)].startswith("throws: ")


@needs_node
def test_a_node_that_judges_nothing_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\nexit 0\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="broke"):
        refused_by_zod([GOOD["typed"]])


def test_where_clients_are_required_it_is_an_error_to_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VOICED_REQUIRE_CLIENTS", raising=False)
    assert oracles.why_no_node() == "Node.js is not installed"
    monkeypatch.setenv("VOICED_REQUIRE_CLIENTS", "1")
    with pytest.raises(RuntimeError, match=r"Node\.js is not installed"):
        oracles.why_no_node()


@needs_node
def test_a_run_with_a_frame_that_agents_realtime_refuses_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((ROOT / "conftest.py").read_text("utf-8"))
    pytester.makeini(f"[pytest]\npythonpath = {ROOT}\n")
    bad = BAD_IN_NODE["7.3-2, speech without a transcript"]
    pytester.makepyfile(f"""
        from tests.clients.oracles import judge

        def test_that_sees_it():
            judge({GOOD["typed"]!r})
            judge({bad!r})
    """)
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:trio")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*2 server frames of 2 shapes: 1 refused by agents-realtime",
            "*seen first by*test_that_sees_it",
            "*throws: *",
        ]
    )
