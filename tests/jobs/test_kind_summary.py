"""What was said in a session, in a few words, whatever the room that a model has."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from tests.engines.llama_helpers import needs_llama
from tests.jobs.kind_helpers import MortalWork, run_dying_everywhere, run_undisturbed, texts
from tests.models.llama_model import write_scripted
from voiced.cli.engines import open_engine
from voiced.conversation.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputText,
    Message,
    OutputAudio,
)
from voiced.engines.clients import EngineLlm
from voiced.engines.ports import EngineInfo, Priority, ReplyEnd, ReplyPart, TextDelta
from voiced.errors import ContextExceeded, EngineFailed
from voiced.jobs.kind import JobError
from voiced.jobs.summary import LEAST_CHARACTERS, Summary, SummaryRequest, cut_piece
from voiced.settings import Settings
from voiced.store.history import History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path


class BriefLlm:
    """Sums up by the names in what it is given: the words in capitals, each once."""

    def __init__(self, *, context_tokens: int = 4_096, room: int = 100_000) -> None:
        self.info = EngineInfo(
            kind="llm", name="brief", version="1", model="one", context_tokens=context_tokens
        )
        self.room = room
        self.read: list[str] = []
        self.orders: list[str] = []

    @asynccontextmanager
    async def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_output_tokens: int | None = None,
        priority: Priority = Priority.CONVERSATION,
        **others: object,
    ) -> AsyncIterator[AsyncIterator[ReplyPart]]:
        assert priority is Priority.JOB
        assert not others
        order, piece = (str(message["content"]) for message in messages)
        if len(piece) > self.room:
            raise ContextExceeded("too long")
        self.orders.append(order)
        self.read.append(piece)
        names = dict.fromkeys(word for word in piece.split() if word.isupper())

        async def parts() -> AsyncIterator[ReplyPart]:
            for name in names:
                await trio.lowlevel.checkpoint()
                yield TextDelta(f"{name} ")
            yield ReplyEnd(finish="stop")

        yield parts()


def conversation(turns: int) -> list[dict[str, str]]:
    filler = "and so it went on for quite a while with nothing of note in it " * 3
    return [
        {"role": "user" if turn % 2 == 0 else "assistant", "text": f"NAME{turn % 9} {filler}"}
        for turn in range(turns)
    ]


def request_of(**fields: object) -> SummaryRequest:
    return msgspec.convert({"type": "summary", **fields}, SummaryRequest)


def kind_of(llm: object, history: History | None = None) -> Summary:
    return Summary(llm, history or History(50), most_characters=100_000)  # type: ignore[arg-type]


def make(path: Path) -> Path:
    path.mkdir()
    return path


async def test_short_conversation_is_asked_for_at_once(tmp_path: Path) -> None:
    llm = BriefLlm()
    request = request_of(items=conversation(4), words=40, instructions="Mind the numbers.")
    work = await run_undisturbed(kind_of(llm), request, make(tmp_path / "job"))
    assert work.result is not None
    assert work.result.read_text() == "NAME0 NAME1 NAME2 NAME3\n"
    (order,) = llm.orders
    assert "at most 40 words" in order
    assert "Mind the numbers." in order
    assert llm.read[0].splitlines()[1].startswith("assistant: NAME1 ")
    assert [frame.text for frame in await work.frames()] == ["NAME0 NAME1 NAME2 NAME3"]
    assert work.percents == [99.0, 99.0]


async def test_long_conversation_is_read_whole_piece_by_piece(tmp_path: Path) -> None:
    llm = BriefLlm(context_tokens=1_024)
    request = request_of(items=conversation(60), response_format="json")
    work = await run_undisturbed(kind_of(llm), request, make(tmp_path / "job"))
    whole = "\n".join(f"{item.role}: {item.text}" for item in request.items)
    first = [piece for piece in llm.read if not piece.startswith("NAME")]
    assert len(first) > 5
    assert "".join(first) == whole
    assert len(llm.read) > len(first), "what came of the pieces is summed up too"
    assert work.result is not None
    answer = json.loads(work.result.read_bytes())
    assert answer["text"].split() == [f"NAME{number}" for number in range(9)]
    assert answer["items"] == 60
    assert (answer["engine"], answer["model"]) == ("brief", "one")
    assert work.percents == sorted(work.percents)


async def test_death_on_either_side_of_every_commit_changes_nothing(tmp_path: Path) -> None:
    request = request_of(items=conversation(60))
    llm = BriefLlm(context_tokens=1_024, room=900)  # so that pieces must be made smaller as well
    whole = await run_undisturbed(kind_of(llm), request, make(tmp_path / "whole"))
    often = await run_dying_everywhere(kind_of(llm), request, make(tmp_path / "often"))
    assert texts(await often.frames()) == texts(await whole.frames())
    assert whole.commits > 10
    assert whole.result is not None
    assert often.result is not None
    assert often.result.read_text() == whole.result.read_text()


async def test_piece_that_is_too_long_for_the_model_is_made_smaller(tmp_path: Path) -> None:
    llm = BriefLlm(context_tokens=8_192, room=700)
    request = request_of(items=conversation(30))
    work = await run_undisturbed(kind_of(llm), request, make(tmp_path / "job"))
    assert max(map(len, llm.read)) <= 700
    assert work.result is not None
    assert work.result.read_text().split() == [f"NAME{number}" for number in range(9)]


async def test_model_with_no_room_at_all_ends_the_job_with_a_reason(tmp_path: Path) -> None:
    llm = BriefLlm(room=LEAST_CHARACTERS // 2)
    with pytest.raises(JobError, match="too little room"):
        await run_undisturbed(
            kind_of(llm), request_of(items=conversation(30)), make(tmp_path / "job")
        )


async def test_model_that_writes_nothing_has_failed(tmp_path: Path) -> None:
    request = request_of(items=[{"role": "user", "text": "nothing that it knows"}])
    with pytest.raises(EngineFailed, match="no summary"):
        await run_undisturbed(kind_of(BriefLlm()), request, make(tmp_path / "job"))


def test_items_of_a_session_are_taken_down_when_it_is_handed_in() -> None:
    history = History(50)
    said = InputAudio(transcript="feed the gnu")
    lost = InputAudio()
    heard = OutputAudio(transcript="It is fed.")
    for item in (
        Message(id="1", role="user", status="completed", content=(said,)),
        Message(id="2", role="user", status="completed", content=(lost,)),
        FunctionCall(id="3", status="completed", name="feed", call_id="c", arguments='{"a":1}'),
        FunctionCallOutput(id="4", status="completed", call_id="c", output="done"),
        Message(id="5", role="assistant", status="completed", content=(heard,)),
    ):
        history.put("sess_1", item)
    kind = kind_of(BriefLlm(), history)
    kept = kind.check(request_of(session_id="sess_1"), has_file=False)
    history.drop("sess_1")
    assert [(item.role, item.text) for item in kept.items] == [
        ("user", "feed the gnu"),
        ("tool", 'feed {"a":1}'),
        ("tool", "answers done"),
        ("assistant", "It is fed."),
    ]
    stored = msgspec.json.decode(msgspec.json.encode(kept), type=SummaryRequest)
    assert stored == kept


def test_what_cannot_be_is_refused_with_a_reason() -> None:
    history = History(50)
    text = InputText("hello")
    history.put("s", Message(id="1", role="user", status="completed", content=(text,)))
    kind = kind_of(BriefLlm(), history)
    with pytest.raises(JobError, match="'session_id'") as caught:
        kind.check(request_of(session_id="nobody"), has_file=False)
    assert (caught.value.status, caught.value.code) == (404, "session_not_found")
    with pytest.raises(JobError, match="both given"):
        kind.check(request_of(session_id="s", items=conversation(1)), has_file=False)
    with pytest.raises(JobError, match="'items' is missing"):
        kind.check(request_of(), has_file=False)
    with pytest.raises(JobError, match="'items' is too long"):
        kind.check(request_of(items=conversation(1_000)), has_file=False)
    with pytest.raises(msgspec.ValidationError, match=r"\$\.words"):
        request_of(session_id="s", words=5)
    with pytest.raises(msgspec.ValidationError, match=r"items\[0\]\.role"):
        request_of(items=[{"role": "robot", "text": "a"}])


async def test_assistant_is_refused_before_anything_is_begun() -> None:
    async with open_engine(Settings(), "llm") as host:
        with pytest.raises(JobError, match="takes a language model"):
            kind_of(EngineLlm(host)).check(request_of(items=conversation(2)), has_file=False)


@needs_llama
async def test_llama_sums_up_in_pieces_and_goes_on(tmp_path: Path) -> None:
    models = make(tmp_path / "models")
    answers = {"zebra": ["A zebra ", "was seen."]}
    write_scripted(models / "scripted.gguf", answers, context=1_024)
    llm = {
        "engine": "llama",
        "model": str(models / "scripted.gguf"),
        "context": 1_024,
        "temperature": 0.0,
    }
    settings = msgspec.convert({"llm": llm}, Settings)
    items = [{"role": "user", "text": "have you seen the zebra there"} for _ in range(30)]
    request = request_of(items=items)
    async with open_engine(settings, "llm") as host:
        kind = kind_of(EngineLlm(host))
        whole = await run_undisturbed(kind, request, make(tmp_path / "whole"))
        first = MortalWork(request, make(tmp_path / "often"), None)
        first.dies_at = 2
        assert not await first.live(kind)
        second = MortalWork(request, first.directory, first)
        assert await second.live(kind)
    frames = await whole.frames()
    assert len(frames) > 2
    assert frames[0].text == "A zebra was seen."
    assert texts(await second.frames()) == texts(frames)
    assert second.commits == whole.commits - 2
    assert whole.seconds["llama"] > 0


def test_text_is_cut_at_a_line_or_a_word_or_anywhere() -> None:
    text = "one two\nthree four five"
    assert cut_piece(text, 0, 9) == "one two\n"
    assert cut_piece(text, 8, 12) == "three four "
    assert cut_piece(text, 8, 15) == "three four five"
    assert cut_piece("a" * 30, 5, 10) == "a" * 10
