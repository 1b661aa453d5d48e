"""`docs/insights.md` shows each message as it is sent, and `voiced insights` can tell it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voiced.cli.insights import describe
from voiced.realtime.connection import GARBAGE_ALLOWED, PONG_S
from voiced.settings import Insights
from voiced.telemetry.backlog import MOST
from voiced.telemetry.insights import REMEMBERED
from voiced.telemetry.messages import TYPES, Message, encode
from voiced.telemetry.payloads import PartialResult
from voiced.web.admission import OBSERVER_BYTES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "insights.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
READ = msgspec.json.Decoder(Message)


def example_of(kind: str) -> dict[str, Any]:
    (found,) = [one for one in map(json.loads, EXAMPLES) if one["type"] == kind]
    example: dict[str, Any] = found
    return example


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_is_shown_as_it_is_sent_with_all_its_fields(kind: str) -> None:
    example = example_of(kind)
    message = READ.decode(json.dumps(example))
    again = json.loads(encode(message))
    assert again["payload"] == example["payload"]
    assert list(again) == list(example)
    assert list(again["payload"]) == list(example["payload"])


def test_there_is_an_example_of_nothing_else() -> None:
    assert sorted(json.loads(one)["type"] for one in EXAMPLES) == sorted(TYPES)


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"up to {MOST:,} messages" in PAGE
    assert f"the last {REMEMBERED} warnings and errors" in PAGE
    assert f"more than {GARBAGE_ALLOWED} of them" in PAGE
    assert f"for {PONG_S:g} s" in PAGE
    assert f"`insights.ping_s` seconds ({Insights().ping_s:g})" in PAGE
    assert f"more than {OBSERVER_BYTES:,} bytes" in PAGE
    states = msgspec.json.schema(PartialResult)["$defs"]["PartialResult"]["properties"]["state"]
    assert all(f"`{state}`" in PAGE for state in states["enum"])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("metadata", "heat warm; 1 session, 1 observer"),
        ("plugin_status", "tts piper: restarting  (restarting after a failure)  restarts 1"),
        ("partial_result", "sess_4742cc3174b4637f: listening  stt 210.5 ms"),
        ("progress", "transcription job_7d1f: running, 41.7 %  (and 3 more)"),
        ("frame", "job_7d1f 12: 61.2 s to 64.9 s  “and that was the weather”"),
        ("warning", "engine_busy llm.llama: the assistant has too much to do"),
        ("error", "engine_ended tts.piper: speech synthesis failed"),
    ],
)
def test_the_command_tells_each_in_one_line(kind: str, says: str) -> None:
    line = describe(example_of(kind))
    assert says in line
    assert kind in line


def test_the_command_survives_what_it_does_not_know_and_lets_nothing_steer_the_terminal() -> None:
    strange = {"type": "gossip", "payload": {"text": "\x1b[2Jnothing"}, "timestamp": 3}
    line = describe(strange)
    assert "gossip" in line
    assert line.isprintable()
    wrong = {"type": "warning", "payload": {"message": "\x1b]0;x\x07\nsecond line"}}
    assert describe(wrong).isprintable()
    for kind in TYPES:
        assert describe({"type": kind, "payload": []}).isprintable()
