"""`/v1/chat/completions`: the daemon's language model, or assistant, in writing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import structs
from quart import Blueprint, Response

from voiced.web.bodies import answer_json, read_json
from voiced.web.chat.answer import Asked, complete, stream
from voiced.web.chat.question import question_of, stops_of
from voiced.web.chat.wire import ChatChunk, ChatCompletion, ChatRequest
from voiced.web.openapi import JSON, Answer, EventStream, documents
from voiced.web.refusal import Refused
from voiced.web.sse import CONTENT_TYPE, encode_failure
from voiced.web.streaming import StreamedResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voiced.web.services import Services

PART_TYPE = re.compile(r"(messages\[\d+\]\.content\[\d+\])\.type")


def chat_routes(services: Services) -> Blueprint:
    """Return the route that answers in writing by `services`."""
    routes = Blueprint("chat", __name__)

    @routes.post("/v1/chat/completions")
    @documents(
        "Answer in writing",
        tag="chat",
        request=ChatRequest,
        answers={
            200: Answer(
                "The answer; as server-sent events with `stream`, and `[DONE]` at the end.",
                {JSON: ChatCompletion, "text/event-stream": EventStream(ChatChunk, "[DONE]")},
            )
        },
    )
    async def chat_completions() -> Response:
        """Continue a conversation. Fields that are not named here are ignored.

        The daemon's own tools (the time, timers, …) run inside the answer; calls of the client's
        tools are handed to it. Closing the connection stops the engine.
        """
        request = await read_request()
        asked = Asked(
            question=question_of(request, services.toolbox),
            stops=stops_of(request),
            include_usage=bool(request.stream_options and request.stream_options.include_usage),
        )
        if not request.stream:
            return answer_json(await complete(asked, services))

        async def produce(put: Callable[[bytes], Awaitable[None]]) -> None:
            await stream(asked, services, put)

        return StreamedResponse(produce, CONTENT_TYPE, failure=encode_failure)

    return routes


async def read_request() -> ChatRequest:
    """The request, or `Refused` that says which part of which message is no text."""
    try:
        return await read_json(ChatRequest)
    except Refused as exc:
        found = PART_TYPE.fullmatch(exc.refusal.param or "")
        if found is None:
            raise
        message = f"Only text is understood here, and '{found[1]}' is something else."
        raise Refused(structs.replace(exc.refusal, message=message)) from exc
