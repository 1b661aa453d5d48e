"""A language model that misbehaves, and one whose process does: what whoever listens gets."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.engines.llama_helpers import needs_llama
from tests.models.llama_model import write_scripted
from tests.patience import CEILING_S
from tests.realtime.live import Client, connected, daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.realtime.live import Daemon

pytestmark = needs_llama

SETTINGS = {
    "VOICED_LLM__ENGINE": "llama",
    "VOICED_LLM__MODEL": "scripted",
    "VOICED_LLM__CONTEXT": "8192",
    "VOICED_LLM__TEMPERATURE": "0",
    "VOICED_LLM__GRACE_S": "2",
    "VOICED_STT__ENGINE": "stub",
    "VOICED_TTS__ENGINE": "stub",
}
ANSWERS = {
    "zebra": ["The zebra ", "is striped."],
    "kudu": ["<tool_call>", '{"name": "get_time", "argu', "</tool_call> "],
    "oryx": ['<tool_call>{"name": "launch_rocket"', ', "arguments": {}}', "</tool_call>\n"],
    "ibex": [
        '<tool_call>{"name": "set_timer"',
        ', "arguments": {"seconds": "soon"}}',
        "</tool_call>",
    ],
}
APOLOGY = "Sorry, I cannot answer that at the moment."


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    models: Path = folder / "state" / "models"
    models.mkdir(parents=True)
    write_scripted(models / "scripted.gguf", ANSWERS, context=8192)
    with daemon(folder, **SETTINGS) as running:
        yield running


def heard(done: dict[str, Any]) -> str:
    parts = [part for item in done["output"] for part in item.get("content", ())]
    return " ".join(part.get("transcript") or part.get("text") or "" for part in parts)


async def goes_on(client: Client) -> None:
    """The next turn is answered as ever, once there is a process again that can."""
    heard_again = APOLOGY
    with trio.fail_after(CEILING_S):
        while heard_again == APOLOGY:
            done = await client.type_in("tell me of the zebra")
            heard_again = heard(done)
    assert (done["status"], heard_again) == ("completed", "The zebra is striped.")


async def test_half_a_call_is_apologised_for(running: Daemon) -> None:
    async with connected(running.url) as client:
        done = await client.type_in("what of the kudu")
        assert (done["status"], heard(done)) == ("completed", APOLOGY)
        assert done["voiced"]["missing"] == {"llm": "engine_unavailable"}
        assert client.audio(done["id"])
        await goes_on(client)
    assert "cannot be read" in running.raw_log


@pytest.mark.parametrize("cue", ["oryx", "ibex"])
async def test_calls_that_lead_nowhere_come_to_an_end(running: Daemon, cue: str) -> None:
    """Of a tool that there is not, and with arguments that it does not take: again and again."""
    async with connected(running.url) as client:
        with trio.fail_after(CEILING_S):
            done = await client.type_in(f"what of the {cue}")
        assert (done["status"], heard(done)) == ("completed", APOLOGY)
        assert done["voiced"]["missing"] == {"llm": "no_answer"}
        await goes_on(client)


def model_pid(running: Daemon) -> int:
    """The newest process with the model; the assistant has one of its own."""
    ready = [line for line in running.log if line["event"] == "engine ready"]
    return int([line for line in ready if line["engine"] == "llm.llama"][-1]["pid"])


async def test_who_never_comes_to_an_end_is_ended_and_it_is_said(tmp_path: Path) -> None:
    """By the limit of the response."""
    models = tmp_path / "state" / "models"
    models.mkdir(parents=True)
    endless = {"zebra": ["on and ", "so "]}
    write_scripted(models / "scripted.gguf", endless, context=4096, endless=True)
    with daemon(tmp_path, **{**SETTINGS, "VOICED_LLM__CONTEXT": "4096"}) as running:
        async with connected(running.url) as client:
            with trio.fail_after(CEILING_S):
                done = await client.type_in("the zebra", max_output_tokens=30)
            assert done["status"] == "incomplete"
            assert done["status_details"]["reason"] == "max_output_tokens"
            assert heard(done).startswith("on and so on and so")
            assert done["usage"]["output_tokens"] == 30


async def kill_in_the_middle(running: Daemon, client: Client, number: int) -> dict[str, Any]:
    """Ask, and have a signal hit the engine while it is at work or about to be."""
    await client.add_text("tell me of the zebra")
    frozen = model_pid(running)
    os.kill(frozen, signal.SIGSTOP)
    await client.send("response.create")
    await client.until("response.created")
    await client.configure()  # another turn of the loop: the engine has been asked
    if number != signal.SIGSTOP:
        os.kill(frozen, number)
        with trio.fail_after(CEILING_S):
            done: dict[str, Any] = (await client.until("response.done"))["response"]
            return done
    await client.send("response.cancel")
    done = (await client.until("response.done"))["response"]
    return done


async def test_an_engine_that_is_killed_is_apologised_for_or_replaced_at_once(
    running: Daemon,
) -> None:
    """An apology where it had been asked already, else the answer of its successor."""
    async with connected(running.url) as client:
        killed = model_pid(running)
        done = await kill_in_the_middle(running, client, signal.SIGKILL)
        assert done["status"] == "completed"
        assert heard(done) in (APOLOGY, "The zebra is striped.")
        await goes_on(client)
        assert model_pid(running) != killed


async def test_an_engine_that_is_frozen_holds_nobody(running: Daemon) -> None:
    """The cancel frees whoever asked at once. That it, or else a ping, is not answered, ends the
    process."""
    async with connected(running.url) as client:
        frozen = model_pid(running)
        done = await kill_in_the_middle(running, client, signal.SIGSTOP)
        assert done["status"] == "cancelled"
        await goes_on(client)
        assert model_pid(running) != frozen
    reasons = ("did not acknowledge a cancel within 2 s", "did not answer a ping within 5 s")
    assert any(reason in running.raw_log for reason in reasons)
