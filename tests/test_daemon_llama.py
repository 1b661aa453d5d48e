"""A daemon that answers with a language model: typed and spoken turns, functions, REST, faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.engines.llama_helpers import needs_llama
from tests.models.llama_model import tool, write_scripted
from tests.patience import CEILING_S
from tests.realtime.live import connected, daemon, end_daemon, make_speech, start_daemon
from tests.web.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.realtime.live import Daemon

ANSWERS = {
    "zebra": ["The zebra ", "is striped. ", "It lives ", "in herds."],
    "gnu": ['<tool_call>\n{"name": "feed", "arguments"', ': {"animal": "gnu"}}', "\n</tool_call>"],
    "time": ['<tool_call>{"name": "get_time"', ', "arguments": {}}', "</tool_call> "],
    "timezone": ["It is ", "that late."],
    "fed": ["The gnu ", "has eaten."],
}
"""The result of the daemon's own `get_time` has a field of the fourth name."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("daemon")
    models = folder / "state" / "models"
    models.mkdir(parents=True)
    write_scripted(models / "scripted.gguf", ANSWERS, context=8192)
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Daemon]:
    with daemon(folder, **SETTINGS) as running:
        yield running


SETTINGS = {
    "VOICED_LLM__ENGINE": "llama",
    "VOICED_LLM__MODEL": "scripted",
    "VOICED_LLM__CONTEXT": "8192",
    "VOICED_LLM__TEMPERATURE": "0",
    "VOICED_LLM__FAST_PATH": "false",
    "VOICED_STT__ENGINE": "phrases",
}


def said(done: dict[str, Any]) -> str:
    """The words of a response, spoken or written."""
    assert done["status"] == "completed", done
    parts = [part for item in done["output"] for part in item.get("content", ())]
    return " ".join(part.get("transcript") or part.get("text") for part in parts)


@needs_llama
async def test_a_typed_turn_is_spoken(running: Daemon) -> None:
    async with connected(running.url) as client:
        done = await client.type_in("tell me of the zebra")
        assert said(done) == "The zebra is striped. It lives in herds."
        usage = done["usage"]
        assert usage["output_tokens"] == 4
        assert usage["input_tokens"] > 100  # the daemon's tools are told too
        audio = [e for e in client.events if e["type"] == "response.output_audio.delta"]
        assert audio
    assert "Traceback" not in running.raw_log


@needs_llama
async def test_once_it_is_ready_it_reads_what_sessions_begin_with(running: Daemon) -> None:
    def read() -> bool:
        return "read the instructions ahead" in running.raw_log

    with trio.fail_after(CEILING_S):
        await until(read)
    events = [line["event"] for line in running.log]
    assert events.index("ready") < events.index("read the instructions ahead")


@needs_llama
async def test_a_spoken_turn_is_answered(running: Daemon, tmp_path: Path) -> None:
    speech = make_speech(tmp_path, "what time is it")
    async with connected(running.url) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.speak, bytes(24_000) + speech + bytes(48_000))
        done = (await client.until("response.done"))["response"]
        # The model asked for the daemon's tool, and spoke of what that answered.
        assert said(done) == "It is that late."


@needs_llama
async def test_a_function_of_the_clients_is_called_and_its_answer_spoken_of(
    running: Daemon,
) -> None:
    async with connected(running.url) as client:
        await client.configure(
            output_modalities=["text"],
            tools=[{"type": "function", **tool("feed", animal={"type": "string"})}],
        )
        done = await client.type_in("the gnu is hungry")
        [call] = done["output"]
        assert (call["type"], call["name"]) == ("function_call", "feed")
        assert json.loads(call["arguments"]) == {"animal": "gnu"}
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "fed"}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        assert said((await client.until("response.done"))["response"]) == "The gnu has eaten."


@needs_llama
async def test_the_second_turn_knows_the_first(running: Daemon) -> None:
    """By the tokens that had not to be computed again."""
    async with connected(running.url) as client:
        await client.configure(output_modalities=["text"])
        await client.type_in("tell me of the zebra")
        with trio.fail_after(CEILING_S):
            done = await client.type_in("and once more of the zebra")
        usage = done["usage"]
        cached = usage["input_token_details"]["cached_tokens"]
        assert cached > usage["input_tokens"] * 0.8
        assert said(done).startswith("The zebra")


@needs_llama
async def test_an_interrupted_answer_leaves_the_engine_at_work(running: Daemon) -> None:
    async with connected(running.url) as client:
        await client.add_text("tell me of the zebra")
        await client.send("response.create")
        await client.until("response.created")
        await client.send("response.cancel")
        await client.until("response.done")
        assert said(await client.type_in("the zebra again")).startswith("The zebra")
    starts = [e for e in running.log if e["event"] == "engine ready"]
    assert len([e for e in starts if e["engine"] == "llm.llama"]) == 1


@needs_llama
async def test_what_is_too_long_is_said_to_be(running: Daemon) -> None:
    async with connected(running.url) as client:
        await client.configure(output_modalities=["text"])
        done = await client.type_in("long " * 2000)
        assert done["status"] == "failed"
        error = done["status_details"]["error"]
        assert error["code"] == "context_length_exceeded"
        assert "too long for the model" in error["message"]
        assert said(await client.type_in("the zebra, please")).startswith("The zebra")


def test_a_damaged_model_keeps_it_from_starting_with_one_line(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "cut.gguf", ANSWERS)
    path.write_bytes(path.read_bytes()[:-1000])
    running = start_daemon(tmp_path, **{**SETTINGS, "VOICED_LLM__MODEL": str(path)})
    try:
        assert running.process.wait(CEILING_S) == 1
        faults = [line for line in running.raw_log.splitlines() if path.name in line]
        assert len(faults) == 1
        assert "the last 1,000 bytes are missing; download it again" in faults[0]
        assert "READY=1" not in "".join(running.heard)
        assert "Traceback" not in running.raw_log
    finally:
        end_daemon(running)
