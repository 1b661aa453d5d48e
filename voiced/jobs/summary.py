"""Jobs of the kind `summary`: what was said in a conversation, in a few words, by the model.

A conversation that is longer than the model's context is summed up piece by piece, and what comes
of that is summed up in turn, until it is one. After each piece there is a checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import trio
from msgspec import Meta, Struct

from voiced.engines.ports import Priority, ReplyEnd, TextDelta
from voiced.engines.understanding import ASSISTANT
from voiced.errors import ContextExceeded, EngineCrashed, EngineFailed
from voiced.jobs.items import SummaryItem, copy_items
from voiced.jobs.journal import write_result
from voiced.jobs.kind import JobError, JobFrame, JobRefused, JobRequest

if TYPE_CHECKING:
    from voiced.engines.ports import Llm
    from voiced.jobs.kind import TakesFile, Work
    from voiced.store.history import History

ORDER: Final = (
    "You are given {what}. Sum it up in at most {words} words, for somebody who was not there: "
    "what was wanted, what was answered and done, names and numbers that matter, and what is still "
    "open. Use the language of the conversation. Write nothing but the summary.{wishes}"
)
WHOLE: Final = "a conversation between a user and an assistant"
PART: Final = "a part of a conversation between a user and an assistant"
NOTES: Final = "summaries of the parts of a conversation, in order"

CHARACTERS_PER_TOKEN: Final = 3.0
"""Of most text in alphabets there are more. Where there are fewer, a piece turns out too long for
the model, and smaller ones are made."""

TOKENS_PER_WORD: Final = 2.0

ORDER_TOKENS: Final = 250
"""For the order and what a chat template puts around it, without wishes."""

UNKNOWN_CONTEXT_TOKENS: Final = 8_192
"""What a model is taken to have room for that does not say."""

LEAST_CHARACTERS: Final = 200
"""A model that has no room for a piece of that many is not asked any further."""

MOST_LEVELS: Final = 12
"""More than there are: each is at most half as long as the one before."""


class SummaryRequest(JobRequest, frozen=True, kw_only=True, tag_field="type", tag="summary"):
    """A conversation to sum up: a session of this daemon, or one whose items are given."""

    session_id: Annotated[str, Meta(max_length=200)] = ""
    items: tuple[SummaryItem, ...] = ()
    """Of a session they are taken down when the job is handed in."""
    words: Annotated[int, Meta(ge=20, le=1_000)] = 150
    instructions: Annotated[str, Meta(max_length=1_000)] = ""
    """What matters most, say."""
    response_format: Literal["txt", "json"] = "txt"


class Point(Struct, frozen=True, kw_only=True):
    """A checkpoint. On each level a text is summed up in pieces, up to `at` so far, of which the
    `notes` came; level 0 is the conversation, which is not kept here, and each next level has the
    notes of the one before as its `text`."""

    piece_characters: int
    level: int = 0
    text: str = ""
    at: int = 0
    notes: tuple[str, ...] = ()


class Answer(Struct, frozen=True):
    """The result as JSON."""

    text: str
    session_id: str
    items: int
    engine: str
    model: str


class Summary:
    """The kind. `most_characters` bounds the conversations."""

    name = "summary"
    request_type = SummaryRequest
    takes_file: TakesFile = "never"

    def __init__(self, llm: Llm, history: History, *, most_characters: int) -> None:
        self._llm = llm
        self._history = history
        self._most = most_characters

    def check(self, request: SummaryRequest, *, has_file: bool) -> SummaryRequest:
        """The request with the items of its session.

        Raises `JobRefused` for a session that is not known, or in which nothing was said, and
        `JobError` where nothing here can write a summary.
        """
        if self._llm.info.name == ASSISTANT:
            raise JobError(
                "The assistant cannot sum up what was said: that takes a language model "
                '(llm.engine = "llama", or a server under llm.providers).'
            )
        if request.session_id and request.items:
            message = "'session_id' and 'items' are both given: one of them is enough."
            raise JobRefused(message, param="session_id")
        if request.session_id:
            items = tuple(copy_items(self._history.items(request.session_id)))
            if not items:
                message = "'session_id': there is no such session, or nothing was said in it yet."
                raise UnknownSession(message, param="session_id")
            request = msgspec.structs.replace(request, items=items)
        if not any(item.text.strip() for item in request.items):
            message = "'items' is missing: what was said, or else a 'session_id'."
            raise JobRefused(message, param="items")
        if sum(len(item.text) for item in request.items) > self._most:
            message = f"'items' is too long: a conversation may have {self._most} characters."
            raise JobRefused(message, param="items")
        return request

    async def run(self, work: Work) -> None:
        """See `JobKind.run`."""
        text = await _Condensing(work, self._llm).run()
        await self._publish(work, text)

    async def _publish(self, work: Work, text: str) -> None:
        request: SummaryRequest = work.request
        info = self._llm.info
        path = work.directory / f"summary.{request.response_format}"
        if request.response_format == "json":
            answer = Answer(text, request.session_id, len(request.items), info.name, info.model)
            await write_result(path, [msgspec.json.encode(answer) + b"\n"])
            await work.publish(path.name, "application/json")
        else:
            await write_result(path, [f"{text}\n".encode()])
            await work.publish(path.name, "text/plain; charset=utf-8")


class UnknownSession(JobRefused):
    """There is no such session."""

    code = "session_not_found"
    status = 404


class _Condensing:
    """One run, from a checkpoint on."""

    def __init__(self, work: Work, llm: Llm) -> None:
        request: SummaryRequest = work.request
        self._work = work
        self._llm = llm
        self._request = request
        self._conversation = "\n".join(f"{item.role}: {item.text}" for item in request.items)
        if work.checkpoint is None:
            self._point = Point(piece_characters=self._room())
        else:
            self._point = msgspec.msgpack.decode(work.checkpoint, type=Point)

    async def run(self) -> str:
        """The summary. Raises `EngineError`, and `JobError` for a model with too little room."""
        while True:
            point = self._point
            text = point.text if point.level else self._conversation
            if point.at < len(text):
                await self._take_piece(text)
            elif len(point.notes) == 1:
                return point.notes[0]
            elif point.level == MOST_LEVELS:
                raise JobError("The model does not make its summaries any shorter.")
            else:
                self._point = Point(
                    piece_characters=point.piece_characters,
                    level=point.level + 1,
                    text="\n\n".join(point.notes),
                )

    def _room(self) -> int:
        """Characters of a piece for which the model has room."""
        context = self._llm.info.context_tokens or UNKNOWN_CONTEXT_TOKENS
        wishes = len(self._request.instructions) / CHARACTERS_PER_TOKEN
        tokens = context * 0.7 - ORDER_TOKENS - wishes
        return max(LEAST_CHARACTERS, int(tokens * CHARACTERS_PER_TOKEN))

    def _words(self) -> int:
        """Of the summary of a piece: no more than what makes it shorter by far."""
        context = self._llm.info.context_tokens or UNKNOWN_CONTEXT_TOKENS
        return max(20, min(self._request.words, int(context / 8 / TOKENS_PER_WORD)))

    async def _take_piece(self, text: str) -> None:
        point = self._point
        piece = cut_piece(text, point.at, point.piece_characters)
        alone = len(piece) == len(text)
        what = NOTES if point.level else WHOLE if alone else PART
        try:
            note = await self._sum_up(piece, what)
        except ContextExceeded as exc:
            smaller = point.piece_characters // 2
            if smaller < LEAST_CHARACTERS:
                raise JobError(
                    f"The model has too little room for a summary: {exc.public}"
                ) from exc
            self._point = msgspec.structs.replace(point, piece_characters=smaller)
            return
        self._point = msgspec.structs.replace(
            point, at=point.at + len(piece), notes=(*point.notes, note)
        )
        percent = 99.0 if alone else _percent(self._point, len(text))
        await self._work.commit(
            msgspec.msgpack.encode(self._point), (JobFrame(text=note),), percent
        )
        self._work.progress(percent)
        await self._work.pause_point()

    async def _sum_up(self, piece: str, what: str) -> str:
        """Asked twice, where the engine crashes: it was perhaps killed for somebody else."""
        began = trio.current_time()
        try:
            text = await self._ask(piece, what)
        except EngineCrashed:
            text = await self._ask(piece, what)
        self._work.timing(self._llm.info.name, trio.current_time() - began)
        if not text:
            raise EngineFailed("the model has written no summary")
        return text

    async def _ask(self, piece: str, what: str) -> str:
        wishes = self._request.instructions.strip()
        order = ORDER.format(
            what=what, words=self._words(), wishes=f"\n\n{wishes}" if wishes else ""
        )
        messages = [{"role": "system", "content": order}, {"role": "user", "content": piece}]
        said: list[str] = []
        async with self._llm.reply(
            messages,
            max_output_tokens=round(self._words() * TOKENS_PER_WORD),
            priority=Priority.JOB,
        ) as parts:
            async for part in parts:
                if isinstance(part, TextDelta):
                    said.append(part.text)
                elif isinstance(part, ReplyEnd) and part.dropped_messages:
                    raise ContextExceeded("there was no room for all of the piece")
                elif isinstance(part, ReplyEnd) and part.finish == "length":
                    self._work.warn("cut_short", "A summary was longer than asked for, and cut.")
        return "".join(said).strip()


def cut_piece(text: str, start: int, most: int) -> str:
    """As much of `text` as is allowed from `start` on, up to the end of a line or else of a word
    where one is near the end."""
    if len(text) - start <= most:
        return text[start:]
    for mark in ("\n", " "):
        end = text.rfind(mark, start + most // 2, start + most)
        if end >= 0:
            return text[start : end + 1]
    return text[start : start + most]


def _percent(point: Point, size: int) -> float:
    """The conversation is most of the work: what comes of it is shorter by far."""
    share = point.at / size
    return 85.0 * share if not point.level else 85.0 + 14.0 * (1 - 0.5 ** (point.level - 1 + share))
