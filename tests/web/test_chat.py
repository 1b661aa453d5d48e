"""Chat completions on fake engines, byte by byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.realtime.fakes import FakeLlm, FakeToolbox, calls, says
from tests.web.harness import ask, connect, error_of, make_app, running, status_of
from voiced.engines.owner import request_owner
from voiced.engines.ports import ReplyEnd, TextDelta
from voiced.errors import EngineBusy, EngineCrashed, EngineUnavailable, ToolChoiceError

if TYPE_CHECKING:
    from tests.realtime.fakes import Step

HELLO = [{"role": "user", "content": "what time is it"}]
OPEN_DOOR = {"type": "function", "function": {"name": "open_door"}}


def post(body: object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
    )
    return "\r\n".join([*head, "", ""]).encode() + data


def body_of(response: bytes) -> bytes:
    """The body of a response, whole or in chunks."""
    head, _, body = response.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


async def chat(llm: FakeLlm, toolbox: FakeToolbox | None = None, **request: Any) -> bytes:  # noqa: ANN401  # JSON
    app = make_app(llm=llm, toolbox=toolbox or FakeToolbox())
    async with running(app=app) as (_, port):
        return await ask(port, post({"model": "gpt-5", "messages": HELLO, **request}))


async def complete(llm: FakeLlm, toolbox: FakeToolbox | None = None, **request: Any) -> Any:  # noqa: ANN401  # JSON
    response = await chat(llm, toolbox, **request)
    assert status_of(response) == 200, response
    return json.loads(body_of(response))


async def stream(llm: FakeLlm, **request: Any) -> list[Any]:  # noqa: ANN401  # JSON
    """The events of a streamed answer; the last one is the word `[DONE]`."""
    response = await chat(llm, stream=True, **request)
    assert status_of(response) == 200, response
    assert b"content-type: text/event-stream" in response.lower()
    *events, nothing = body_of(response).decode().split("\n\n")
    assert nothing == ""
    assert all(event.startswith("data: ") for event in events)
    data = [event.removeprefix("data: ") for event in events]
    assert data[-1] == "[DONE]"
    return [json.loads(event) for event in data[:-1]]


async def test_a_whole_answer() -> None:
    llm = FakeLlm(says("It is", " noon."))
    answer = await complete(llm)
    assert answer.pop("id").startswith("chatcmpl-")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "chat.completion",
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "It is noon.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    assert llm.asked == [HELLO]
    assert llm.left == ["done"]


async def test_the_daemons_tools_run_inside() -> None:
    llm = FakeLlm(calls("get_time"), says("Noon."))
    toolbox = FakeToolbox()
    answer = await complete(llm, toolbox)
    assert toolbox.called == ["get_time"]
    assert answer["choices"][0]["message"]["content"] == "Noon."


async def test_a_clients_tool_is_called_by_the_client() -> None:
    llm = FakeLlm(calls("open_door"))
    answer = await complete(llm, tools=[OPEN_DOOR])
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "tool_calls": [
                    {
                        "id": "call_open_door",
                        "type": "function",
                        "function": {"name": "open_door", "arguments": "{}"},
                    }
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    # Both kinds are offered; a tool without parameters takes none.
    assert llm.offered == [["open_door", "get_time"]]


async def test_all_that_a_conversation_holds_reaches_the_model() -> None:
    llm = FakeLlm()
    call = {"id": "c1", "type": "function", "function": {"name": "open_door", "arguments": "{}"}}
    await complete(
        llm,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Op"}, {"type": "text", "text": "en."}],
            },
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
            {"role": "tool", "tool_call_id": "c1", "content": "open"},
            {"role": "assistant", "content": "Done.", "audio": None},
            {"role": "user", "content": "Thanks.", "name": "Ada"},
        ],
        temperature=0.5,
        a_field_of_next_year=[1],
    )
    assert llm.asked == [
        [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Open."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "open"},
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "Thanks."},
        ]
    ]


@pytest.mark.parametrize(
    ("request_", "chosen", "limit"),
    [
        ({"tool_choice": "none", "max_tokens": 7}, "none", 7),
        ({"tools": [OPEN_DOOR], "tool_choice": "required"}, "required", None),
        (
            {
                "tools": [OPEN_DOOR],
                "tool_choice": OPEN_DOOR,
                "max_completion_tokens": 5,
                "max_tokens": 7,
            },
            {"name": "open_door"},
            5,
        ),
        ({"tool_choice": None, "max_tokens": None, "n": 1, "stop": None}, "auto", None),
    ],
)
async def test_choices_and_limits_reach_the_model(request_: Any, chosen: Any, limit: Any) -> None:  # noqa: ANN401
    llm = FakeLlm()
    await complete(llm, **request_)
    assert (llm.chosen, llm.limits) == ([chosen], [limit])


async def test_a_cut_answer_says_so() -> None:
    cut: list[Step] = [TextDelta("It"), ReplyEnd(finish="length")]
    answer = await complete(FakeLlm(cut))
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_a_stop_sequence_ends_the_answer_and_the_engine() -> None:
    endless: list[Step] = [TextDelta("one two EN"), TextDelta("D three"), 1e9]
    llm = FakeLlm(endless)
    answer = await complete(llm, stop=["END"])
    assert answer["choices"][0]["message"]["content"] == "one two "
    assert answer["choices"][0]["finish_reason"] == "stop"
    # The engine could not say any more what it cost: words are counted.
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}
    assert llm.left == ["cancelled"]


async def test_what_only_looked_like_a_stop_sequence_is_said() -> None:
    answer = await complete(FakeLlm(says("one EN")), stop="END")
    assert answer["choices"][0]["message"]["content"] == "one EN"


async def test_a_streamed_answer() -> None:
    events = await stream(FakeLlm(says("It is", " noon.")))
    assert len({event["id"] for event in events}) == 1
    assert all(
        set(event) == {"id", "object", "created", "model", "choices"}
        and event["object"] == "chat.completion.chunk"
        for event in events
    )
    assert [event["choices"][0]["delta"] for event in events] == [
        {"role": "assistant", "content": ""},
        {"content": "It is"},
        {"content": " noon."},
        {},
    ]
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons == [None, None, None, "stop"]


async def test_the_usage_comes_last_where_it_is_wanted() -> None:
    *chunks, last = await stream(FakeLlm(says("Noon.")), stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert all(chunk["usage"] is None for chunk in chunks)


async def test_calls_are_streamed_with_their_index() -> None:
    first, *called, last = await stream(FakeLlm(calls("open_door", "open_door")), tools=[OPEN_DOOR])
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    deltas = [event["choices"][0]["delta"]["tool_calls"] for event in called]
    assert [delta[0]["index"] for delta in deltas] == [0, 1]
    assert deltas[0][0] == {
        "index": 0,
        "id": "call_open_door",
        "type": "function",
        "function": {"name": "open_door", "arguments": "{}"},
    }
    assert last["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("request_", "param", "code"),
    [
        ({"n": 2}, "n", "integer_above_max_value"),
        ({"messages": []}, "messages", "array_below_min_length"),
        (
            {"messages": [*HELLO, {"role": "robot", "content": ""}]},
            "messages[1].role",
            "invalid_value",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"tools": [OPEN_DOOR, {"type": "custom"}]}, "tools[1].type", "invalid_value"),
        ({"tool_choice": OPEN_DOOR}, "tool_choice.function.name", "invalid_value"),
        ({"modalities": ["text", "audio"]}, "modalities[1]", "invalid_value"),
        ({"response_format": {"type": "json_object"}}, "response_format.type", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_place(
    request_: dict[str, Any], param: str, code: str
) -> None:
    llm = FakeLlm()
    response = await chat(llm, **request_)
    assert status_of(response) == 400
    error = error_of(response)
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
    assert llm.asked == []


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
async def test_content_that_is_no_text_is_refused_with_its_place(kind: str) -> None:
    parts = [{"type": "text", "text": "See:"}, {"type": kind, kind: {}}]
    response = await chat(FakeLlm(), messages=[*HELLO, {"role": "user", "content": parts}])
    assert status_of(response) == 400
    error = error_of(response)
    assert error["param"] == "messages[1].content[1].type"
    assert error["message"] == (
        "Only text is understood here, and 'messages[1].content[1]' is something else."
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":"\xff"}', b"[" * 100_000])
async def test_what_is_no_request_is_refused(body: bytes) -> None:
    async with running(app=make_app()) as (_, port):
        response = await ask(port, post(body))
    assert status_of(response) == 400
    assert error_of(response)["code"] in {"invalid_json", "invalid_value"}


async def test_a_schema_that_nests_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"properties": deep}
    tool = {"type": "function", "function": {"name": "deep", "parameters": deep}}
    response = await chat(FakeLlm(), tools=[tool])
    assert status_of(response) == 400
    assert error_of(response)["param"] == "tools[0].function.parameters"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (EngineBusy("full"), 429),
        (EngineUnavailable("starting"), 503),
        (EngineCrashed("gone"), 503),
        (ToolChoiceError("no such tool"), 400),
    ],
)
async def test_a_failure_has_its_status_even_where_the_answer_was_to_be_streamed(
    error: Exception, status: int, streamed: bool
) -> None:
    response = await chat(FakeLlm([error]), stream=streamed)
    assert status_of(response) == status
    assert error_of(response)["code"] == getattr(error, "code", None)


async def test_a_failure_in_the_middle_of_a_stream_is_its_last_event() -> None:
    broken: list[Step] = [TextDelta("It"), EngineCrashed("gone", public="The engine crashed.")]
    response = await chat(FakeLlm(broken), stream=True)
    *_, last, nothing = body_of(response).decode().split("\n\n")
    assert nothing == ""
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "The engine crashed."


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_stops_the_engine(streamed: bool) -> None:
    started = trio.Event()

    class Slow(FakeLlm):
        def __init__(self) -> None:
            super().__init__([TextDelta("It"), 1e9])

        def reply(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  # as it comes
            started.set()
            return super().reply(*args, **options)

    llm = Slow()
    async with running(app=make_app(llm=llm)) as (door, port):
        async with await connect(port) as stream_:
            await stream_.send_all(post({"model": "m", "messages": HELLO, "stream": streamed}))
            await started.wait()
            if streamed:
                assert status_of(await stream_.receive_some()) == 200
        while door.connections:  # bounded by the harness
            await trio.lowlevel.checkpoint()
    assert llm.left == ["cancelled"]
    assert llm.open == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_engines_know_for_whose_address_they_work(streamed: bool) -> None:
    owners: list[str] = []

    class Asking(FakeLlm):
        def reply(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  # as it comes
            owners.append(request_owner.get())
            return super().reply(*args, **options)

    await chat(Asking(), stream=streamed)
    assert owners == ["rest-127.0.0.1"]
    assert request_owner.get() == ""
