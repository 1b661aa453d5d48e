"""A conversation longer than the model's context, with llama.cpp: summed up between turns by the
same model, and where that fails, without its oldest turns and saying so.

The model is scripted: shown "assistant:", as only a conversation to sum up has it, it writes the
summary. Nearly every character is a token of it.
"""

from __future__ import annotations

from itertools import pairwise
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

CONTEXT = 8192
TURNS = 10
SETTINGS = {
    "VOICED_LLM__ENGINE": "llama",
    "VOICED_LLM__MODEL": "scripted",
    "VOICED_LLM__CONTEXT": str(CONTEXT),
    "VOICED_LLM__TEMPERATURE": "0",
    "VOICED_LLM__THREADS": "1",
    "VOICED_LLM__THREADS_BATCH": "1",
    "VOICED_STT__ENGINE": "stub",
    "VOICED_TTS__ENGINE": "stub",
}
ANSWERS = {"zebra": ["It is ", "striped."], "quagga": ["No longer ", "alive."]}
SUMMARY = {"assistant:": ["They spoke ", "of animals."]}
THOUGHTS_ALONE = {"assistant:": ["<think>", "Hm."]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state" / "models").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[Daemon]:
    answers = {**ANSWERS, "okapi": ["Of the ", "forest."], **SUMMARY}
    write_scripted(folder / "state/models/scripted.gguf", answers, context=CONTEXT)
    with daemon(folder, **SETTINGS) as running:
        yield running


async def say(client: Client, text: str) -> dict[str, Any]:
    """A typed turn and its answer in writing."""
    with trio.fail_after(CEILING_S):
        done = await client.type_in(text, output_modalities=["text"])
    assert done["status"] == "completed", done
    return done


def words(done: dict[str, Any]) -> str:
    return "".join(part["text"] for item in done["output"] for part in item["content"])


def long_question(number: int) -> str:
    return f"Question {number}: {'well, ' * 100}what of the zebra?"


def events(running: Daemon, start: str) -> list[dict[str, Any]]:
    return [line for line in running.log if line["event"].startswith(start)]


async def until_logged(running: Daemon, start: str, count: int = 1) -> None:
    with trio.fail_after(CEILING_S):
        while len(events(running, start)) < count:  # noqa: ASYNC110 - a file
            await trio.sleep(0.05)


async def test_a_long_conversation_is_summed_up_between_its_turns(running: Daemon) -> None:
    async with connected(running.url) as client:
        taken, summaries = [], 0
        for number in range(TURNS):
            done = await say(client, long_question(number))
            assert words(done) == "It is striped."
            taken.append(done["usage"]["input_tokens"])
            if taken[-1] > 0.6 * CONTEXT:
                summaries += 1
                await until_logged(running, "summed up the oldest turns", summaries)
        assert summaries >= 2
        assert max(taken) < 0.75 * CONTEXT
        # 16 questions of more than 600 tokens each would never have had room.
        assert CONTEXT < 16 * 600
        # What is shown has grown shorter each time, and is computed once: the time, which changes
        # by itself, stands behind all of it.
        assert sum(after < before for before, after in pairwise(taken)) >= 2
        done = await say(client, "and the quagga?")
        assert words(done) == "No longer alive."
        done = await say(client, "and the zebra?")
        cached = done["usage"]["input_token_details"]["cached_tokens"]
        assert cached > 0.9 * done["usage"]["input_tokens"]
        # To the client nothing has happened.
        items = [e["item"] for e in client.events if e["type"] == "conversation.item.added"]
        assert len(items) == 2 * (TURNS + 2)
        assert not [e for e in client.events if e["type"] == "conversation.item.deleted"]
        await client.send("conversation.item.retrieve", item_id=items[0]["id"])
        [part] = (await client.until("conversation.item.retrieved"))["item"]["content"]
        assert part["text"] == long_question(0)
    assert events(running, "context is full") == []
    assert events(running, "could not sum up") == []


async def test_who_leaves_no_pause_is_answered_all_the_same(running: Daemon) -> None:
    """Each question interrupts what is read or summed up; in the end there is time for it."""
    async with connected(running.url) as client:
        for number in range(TURNS):
            assert words(await say(client, long_question(number))) == "It is striped."
        await until_logged(running, "summed up the oldest turns")
        assert words(await say(client, "and the quagga?")) == "No longer alive."
    starts = events(running, "engine ready")
    assert len([line for line in starts if line["engine"] == "llm.llama"]) == 1


async def test_a_model_that_cannot_sum_up_is_shown_the_newest_turns_and_it_is_said(
    folder: Path,
) -> None:
    answers = {**ANSWERS, **THOUGHTS_ALONE}
    write_scripted(folder / "state/models/scripted.gguf", answers, context=CONTEXT)
    with daemon(folder, **SETTINGS) as running:
        async with connected(running.url) as client:
            for number in range(TURNS):
                done = await say(client, long_question(number))
                assert words(done) == "It is striped."
                assert done["usage"]["input_tokens"] <= 0.75 * CONTEXT
                if number == 6:
                    await until_logged(running, "could not sum up")
        [failure] = events(running, "could not sum up")
        assert (failure["level"], failure["reason"]) == ("warning", "the model wrote nothing")
        dropped = events(running, "context is full")
        assert dropped
        assert all(line["messages"] >= 2 for line in dropped)
