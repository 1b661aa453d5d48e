"""A language model behind HTTP: what is asked, what is understood, and what goes wrong.

The servers are real ones on loopback, in the same process.
"""

from __future__ import annotations

import json
import ssl
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from structlog.testing import capture_logs

from tests.certificates import certify
from tests.engines.http_peer import (
    Exchange,
    HttpPeer,
    Script,
    answer,
    chunk,
    http_peer,
    says,
    streams,
)
from tests.patience import CEILING_S
from voiced.engines.failover import FailoverLlm, Member, Order
from voiced.engines.http.chat import HttpLlm
from voiced.engines.http.provider import Provider, open_provider
from voiced.engines.ports import Priority, ReplyEnd, ReplyPart, TextDelta, ToolCall
from voiced.errors import (
    ContextExceeded,
    EngineError,
    EngineUnavailable,
    ProviderFailed,
    SettingsError,
)
from voiced.settings import ChatProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from voiced.engines.ports import Llm

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
TOOL = {"name": "set_light", "description": "A light.", "parameters": {"type": "object"}}


@asynccontextmanager
async def llm_at(peer: HttpPeer, **settings: Any) -> AsyncIterator[tuple[HttpLlm, Provider]]:  # noqa: ANN401 - any setting
    its = ChatProvider(**{"url": peer.url, "name": "there", "model": "m", **settings})
    with trio.fail_after(CEILING_S):
        async with open_provider("llm", its, "llm.providers, number 1") as provider:
            yield HttpLlm(provider, its), provider


async def ask(llm: Llm, messages: Sequence[dict[str, Any]] = HELLO, **more: Any) -> list[ReplyPart]:  # noqa: ANN401
    async with llm.reply(messages, **more) as parts:
        return [part async for part in parts]


def text_of(parts: Sequence[ReplyPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def failure(llm: Llm) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await ask(llm)
    return caught.value


async def until(holds: Callable[[], object]) -> None:
    """Wait for what happens without a sign; the fixture's ceiling ends it."""
    while not holds():  # noqa: ASYNC110 - no sign of it comes
        await trio.sleep(0.01)


# -- what is asked --------------------------------------------------------------------------


async def test_an_answer_is_streamed() -> None:
    async with http_peer(says("Hel", "lo.")) as peer, llm_at(peer) as (llm, _):
        parts = await ask(llm)
        assert text_of(parts) == "Hello."
        assert parts[-1] == ReplyEnd(finish="stop", input_tokens=7, output_tokens=2)
        (asked,) = peer.asked
        assert asked.path == "/v1/chat/completions"
        assert asked.json == {
            "model": "m",
            "messages": HELLO,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        assert "authorization" not in asked.headers
        assert asked.headers["accept-encoding"] == "identity"


async def test_text_is_passed_on_before_the_rest_is_there() -> None:
    said = trio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        await exchange.events(chunk("Wait"), done=False)
        await said.wait()
        await exchange.events(chunk("ed."), chunk(finish="stop"))
        await exchange.end()

    async with http_peer(script) as peer, llm_at(peer) as (llm, _), llm.reply(HELLO) as parts:
        assert await anext(parts) == TextDelta("Wait")
        said.set()
        assert text_of([part async for part in parts]) == "ed."


async def test_a_server_is_timed_by_what_was_waited_for_it() -> None:
    listening = trio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        await exchange.events(chunk("Well."), chunk(finish="stop"))
        await listening.wait()
        await exchange.end()

    async with http_peer(script) as peer, llm_at(peer) as (llm, provider):
        began = trio.current_time()
        async with llm.reply(HELLO, priority=Priority.JOB) as parts:
            first = await anext(parts)
            first_s = trio.current_time() - began
            listening.set()
            assert [first, *[part async for part in parts]][0] == TextDelta("Well.")
        timed = {
            (stage, priority): series.sum_s
            for stage, priority, series in provider.record.timings.read()
        }
        assert set(timed) == {("first_part", Priority.JOB), ("whole", Priority.JOB)}
        assert 0 < timed["first_part", Priority.JOB] <= first_s
        assert timed["whole", Priority.JOB] >= timed["first_part", Priority.JOB]
        assert not provider.record.failures


async def test_what_a_server_did_wrong_is_remembered() -> None:
    async with http_peer(answer(500, {}), says("Well.")) as peer, llm_at(peer) as (llm, provider):
        await failure(llm)
        await ask(llm)
        (warning,) = provider.record.warnings
        assert (warning.code, warning.message) == (
            "provider_failed",
            "it answered with status 500",
        )
        assert provider.record.failures == {"provider_failed": 1}


async def test_a_connection_is_used_again() -> None:
    async with http_peer(says("One."), says("Two.")) as peer, llm_at(peer) as (llm, _):
        assert text_of(await ask(llm)) == "One."
        assert text_of(await ask(llm)) == "Two."
        assert peer.connections <= 2  # the look at the start may have had one of its own


async def test_tools_the_limit_and_options_are_sent() -> None:
    async with http_peer(says("No.")) as peer:
        settings = {"max_tokens_key": "max_completion_tokens", "options": {"temperature": 0}}
        async with llm_at(peer, **settings) as (llm, _):
            await ask(llm, tools=[TOOL], tool_choice="required", max_output_tokens=50)
            await ask(llm, tools=[TOOL], tool_choice={"name": "set_light"})
            await ask(llm, tools=[TOOL], tool_choice="none")
    required, named, none = (exchange.json for exchange in peer.asked)
    assert required["tools"] == [{"type": "function", "function": TOOL}]
    assert required["tool_choice"] == "required"
    assert required["max_completion_tokens"] == 50
    assert required["temperature"] == 0
    assert named["tool_choice"] == {"type": "function", "function": {"name": "set_light"}}
    assert "tools" not in none
    assert "tool_choice" not in none


async def test_calls_come_in_pieces_and_are_passed_on_whole() -> None:
    def call(index: int, **more: object) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": index, **more}])

    script = streams(
        call(0, id="call_a", type="function", function={"name": "set_light", "arguments": ""}),
        call(0, function={"arguments": '{"on":'}),
        call(0, function={"arguments": " true}"}),
        call(1, id="call_b", type="function", function={"name": "get_time", "arguments": ""}),
        chunk(finish="tool_calls"),
    )
    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        assert await ask(llm, tools=[TOOL]) == [
            ToolCall(call_id="call_a", name="set_light", arguments='{"on": true}'),
            ToolCall(call_id="call_b", name="get_time", arguments="{}"),
            ReplyEnd(finish="tool_calls", input_tokens=1, output_tokens=0),
        ]


async def test_calls_that_all_have_the_number_0_are_told_apart_by_their_ids() -> None:
    def call(call_id: str, name: str) -> dict[str, Any]:
        function = {"name": name, "arguments": "{}"}
        return {"index": 0, "id": call_id, "type": "function", "function": function}

    script = streams(
        chunk(tool_calls=[call("a", "one")]), chunk(tool_calls=[call("b", "two")], finish="stop")
    )
    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        *calls, end = await ask(llm, tools=[TOOL])
    assert [call.name for call in calls if isinstance(call, ToolCall)] == ["one", "two"]
    assert isinstance(end, ReplyEnd)
    assert end.finish == "tool_calls"


async def test_a_call_that_the_limit_cut_is_not_made() -> None:
    function = {"name": "set_light", "arguments": '{"on": tr'}
    script = streams(
        chunk(tool_calls=[{"index": 0, "id": "a", "function": function}]), chunk(finish="length")
    )
    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        (end,) = await ask(llm, tools=[TOOL])
    assert isinstance(end, ReplyEnd)
    assert end.finish == "length"


async def test_a_stream_that_ends_without_its_last_word_is_whole_where_the_reason_is_known() -> (
    None
):
    script = streams(chunk("Yes."), chunk(finish="stop"), done=False)
    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        assert text_of(await ask(llm)) == "Yes."


# -- thoughts -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 4, 11, 99])
async def test_thoughts_in_the_content_are_not_passed_on(step: int) -> None:
    text = "<think>\nNoon, or is it?\n</think>\n\nIt is noon. Write <think> so."
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    async with http_peer(says(*pieces)) as peer, llm_at(peer) as (llm, _):
        parts = await ask(llm)
    assert text_of(parts) == "It is noon. Write <think> so."
    assert all(part.text for part in parts if isinstance(part, TextDelta))


async def test_what_only_begins_like_a_thought_is_passed_on_at_the_end() -> None:
    async with http_peer(says("It is noon.\n", "<thin")) as peer, llm_at(peer) as (llm, _):
        parts = await ask(llm)
    assert text_of(parts) == "It is noon.\n<thin"
    assert isinstance(parts[-1], ReplyEnd)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thoughts_in_a_field_of_their_own_are_not_passed_on(field: str) -> None:
    script = streams(
        chunk(**{field: "Noon, "}),
        chunk(None, content=None, **{field: "or is it?"}),
        chunk("It is noon."),
        chunk(finish="stop"),
    )
    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        assert text_of(await ask(llm)) == "It is noon."


async def test_thoughts_among_the_parts_of_the_content_are_not_passed_on() -> None:
    """As Mistral's models that reason write."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Noon, or is it?"}]}
    script = streams(
        chunk(content=[thought]),
        chunk(content=[{"type": "text", "text": "It is "}]),
        chunk("noon."),
        chunk(finish="stop"),
    )
    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        assert text_of(await ask(llm)) == "It is noon."


# -- what goes wrong ------------------------------------------------------------------------


async def breaks_off_at_once(exchange: Exchange) -> None:
    await exchange.break_off()


async def breaks_off_after(text: str, exchange: Exchange) -> None:
    await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
    await exchange.events(chunk(text), done=False)
    await exchange.break_off()


async def never_answers(exchange: Exchange) -> None:
    await exchange.wait_gone()


async def says_nothing(exchange: Exchange) -> None:
    """Answers at once, and then only keeps the connection alive."""
    await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
    while True:
        await exchange.send(b": still here\n\n")
        await trio.sleep(0.01)


async def stalls_after_a_word(exchange: Exchange) -> None:
    await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
    await exchange.events(chunk("Well"), done=False)
    await exchange.wait_gone()


async def never_ends(exchange: Exchange) -> None:
    await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
    while True:
        await exchange.events(chunk("on and " * 5000), done=False)


async def drips(exchange: Exchange) -> None:
    await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
    while True:
        await exchange.events(chunk("and "), done=False)
        await trio.sleep(0.01)


async def one_endless_line(exchange: Exchange) -> None:
    await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
    while True:
        await exchange.send(b"data: " + b"x" * 65_536)


FAULTS: dict[str, tuple[Script, dict[str, Any], str]] = {
    "unauthorised": (
        answer(401, {"error": {"message": "a key is sk-123", "code": "invalid_api_key"}}),
        {},
        "it answered with status 401 invalid_api_key: it refuses the key",
    ),
    "unknown model": (answer(404), {}, "it answered with status 404: it knows no such path or"),
    "too many": (answer(429), {}, "it answered with status 429"),
    "broken": (answer(500, b"<html>oh no"), {}, "it answered with status 500"),
    "redirects": (
        answer(307, location="http://127.0.0.1:9/v1/chat/completions"),
        {},
        "it redirects (status 307), and that is not followed",
    ),
    "no stream": (answer(200, {"choices": []}), {}, "its answer is no stream of events"),
    "garbage": (streams(b"this is not JSON"), {}, "what it sent is no chunk"),
    "another shape": (streams({"choices": 5}), {}, "what it sent is no chunk"),
    "error in the stream": (
        streams({"error": {"message": "out of memory"}}),
        {},
        "it reported an error in the middle",
    ),
    "empty": (streams(done=True), {}, "it broke off its answer"),
    "breaks off": (breaks_off_at_once, {}, "the connection broke"),
    "never answers": (never_answers, {"first_s": 0.05}, "it did not begin to answer in time"),
    "only alive": (says_nothing, {"first_s": 0.05}, "it did not begin to answer in time"),
    "endless line": (one_endless_line, {}, "an event is longer than a megabyte"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_before_the_first_word_is_a_reason_to_ask_another(fault: str) -> None:
    script, settings, reason = FAULTS[fault]
    async with http_peer(script) as bad, http_peer(says("I can.")) as good:
        async with llm_at(bad, **settings) as (first, provider), llm_at(good) as (second, _):
            order: Order[Llm] = Order(
                "llm",
                [
                    Member("bad", first, lambda: provider.usable),
                    Member("good", second, lambda: True),
                ],
            )
            with capture_logs() as logs:
                assert text_of(await ask(FailoverLlm(order))) == "I can."
            assert provider.trouble.startswith(reason)
            assert provider.circuit.failures_in_a_row == 1
        assert len(bad.asked) == len(good.asked) == 1
        with trio.fail_after(CEILING_S):
            await until(lambda: bad.open == 0)
    told = [log for log in logs if log["event"] == "provider failed"]
    assert [log["reason"] for log in told] == [provider.trouble]
    assert "sk-123" not in json.dumps(logs, default=str)


@pytest.mark.parametrize(
    ("script", "settings", "reason"),
    [
        (partial(breaks_off_after, "Well"), {}, "the connection broke"),
        (stalls_after_a_word, {"stall_s": 0.05}, "it stopped in the middle of its answer"),
        (streams(chunk("Well"), b"{", done=False), {}, "what it sent is no chunk"),
        (streams(chunk("Well"), done=False), {}, "it broke off its answer"),
        (never_ends, {}, "its answer is too long"),
        (drips, {"total_s": 0.1}, "it took too long over its answer"),
    ],
    ids=["breaks off", "stalls", "garbage", "ends early", "endless", "endless and slow"],
)
async def test_after_the_first_word_nobody_else_is_asked(
    script: Script, settings: dict[str, Any], reason: str
) -> None:
    async with http_peer(script) as bad, http_peer(says("I can.")) as good:
        async with llm_at(bad, **settings) as (first, provider), llm_at(good) as (second, _):
            order: Order[Llm] = Order(
                "llm", [Member("bad", first, lambda: True), Member("good", second, lambda: True)]
            )
            with pytest.raises(ProviderFailed) as caught:
                await ask(FailoverLlm(order))
            assert str(caught.value).startswith(reason)
            assert provider.circuit.failures_in_a_row == 1
        assert good.asked == []


async def test_a_request_that_is_itself_at_fault_tells_nothing_of_the_server() -> None:
    async with http_peer(answer(400), says("Better.")) as peer, llm_at(peer) as (llm, provider):
        assert str(await failure(llm)) == "it answered with status 400"
        assert provider.trouble == ""
        assert text_of(await ask(llm)) == "Better."


async def test_a_server_that_failed_five_times_is_left_alone() -> None:
    async with http_peer(answer(500)) as peer, llm_at(peer) as (llm, provider):
        for _ in range(5):
            assert isinstance(await failure(llm), ProviderFailed)
        assert provider.circuit.state == "open"
        assert not provider.usable
        assert isinstance(await failure(llm), EngineUnavailable)
        assert len(peer.asked) == 5


async def test_a_server_is_left_alone_for_as_long_as_it_asks() -> None:
    busy = answer(429, retry_after="120")
    async with http_peer(busy) as peer, llm_at(peer) as (llm, provider):
        await failure(llm)
        assert provider.circuit.state == "open"
        assert 0 < provider.circuit.opens_in_s <= 120
        assert isinstance(await failure(llm), EngineUnavailable)


async def test_all_that_fail_are_named_to_the_operator_and_none_to_the_client() -> None:
    async with (
        http_peer(answer(500)) as one,
        http_peer(answer(401)) as two,
        llm_at(one) as (first, _),
        llm_at(two) as (second, _),
    ):
        order: Order[Llm] = Order(
            "llm", [Member("one", first, lambda: True), Member("two", second, lambda: True)]
        )
        error = await failure(FailoverLlm(order))
    assert "one: it answered with status 500" in str(error)
    assert "two: it answered with status 401" in str(error)
    assert error.public == "the assistant cannot be reached at the moment"


async def test_a_question_that_is_too_long_is_told_from_a_model_that_is_gone() -> None:
    class TooLong:
        def __aiter__(self) -> TooLong:
            return self

        async def __anext__(self) -> ReplyPart:
            raise ContextExceeded("Too long.")

    class Small(HttpLlm):
        @asynccontextmanager
        async def reply(self, *_: object, **__: object) -> AsyncIterator[AsyncIterator[ReplyPart]]:
            yield TooLong()

    async with http_peer(answer(500)) as peer, llm_at(peer) as (llm, provider):
        members: list[Member[Llm]] = [
            Member("small", Small(provider, ChatProvider(url=peer.url)), lambda: True),
            Member("gone", llm, lambda: True),
        ]
        assert isinstance(await failure(FailoverLlm(Order("llm", members))), ContextExceeded)
        assert len(peer.asked) == 1


async def test_leaving_closes_the_connection() -> None:
    gone = trio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        await exchange.events(chunk("Well"), done=False)
        await exchange.wait_gone()
        gone.set()

    async with http_peer(script) as peer, llm_at(peer) as (llm, provider):
        async with llm.reply(HELLO) as parts:
            await anext(parts)
        await gone.wait()
        with trio.CancelScope() as scope:
            async with llm.reply(HELLO) as parts:
                await anext(parts)
                scope.cancel(reason="the user interrupts")
                await anext(parts)
        assert scope.cancelled_caught
        # Who is interrupted says nothing about the server.
        assert provider.circuit.failures_in_a_row == 0
        assert provider.circuit.passes


async def test_being_cancelled_before_the_answer_begins_closes_the_connection() -> None:
    asked, gone = trio.Event(), trio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await exchange.wait_gone()
        gone.set()

    async with http_peer(script) as peer, llm_at(peer) as (llm, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, llm)
            await asked.wait()
            nursery.cancel_scope.cancel(reason="the user interrupts")
        await gone.wait()


async def test_a_server_that_is_not_there_is_found_out_at_the_start() -> None:
    async with http_peer(says("")) as peer:
        url = peer.url
    async with llm_at(HttpPeer(url, [])) as (_, provider):
        await until(lambda: provider.trouble)
        assert provider.trouble == "it cannot be reached"


async def test_a_server_without_a_list_of_models_is_there() -> None:
    async with http_peer(says("Yes.")) as peer:
        peer.healthy = answer(404)
        async with llm_at(peer) as (_, provider):
            await until(lambda: peer.checks)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert provider.trouble == ""


# -- keys and certificates ------------------------------------------------------------------


async def test_the_key_comes_from_the_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "groq").write_text("sk-secret\n")
    async with http_peer(says("Yes.")) as peer:
        with capture_logs() as logs:
            async with llm_at(peer, credential="groq") as (llm, _):
                await ask(llm)
    assert peer.asked[0].headers["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in json.dumps(logs, default=str)


async def test_the_key_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-secret\n")
    file = str(tmp_path / "key")
    async with http_peer(says("Yes.")) as peer, llm_at(peer, key_file=file) as (llm, _):
        await ask(llm)
    assert peer.asked[0].headers["authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "ftp://host/v1"}, "url is no address"),
        ({"url": "http:///v1"}, "url is no address"),
        ({"url": "http://host:99999/v1"}, "url is no address"),
        ({"url": "https://user:sk-1@host/v1"}, "a key comes from `credential` or `key_file`"),
        ({"url": "https://host/v1?key=sk-1"}, "a key comes from `credential` or `key_file`"),
        ({"url": "http://10.0.0.5/v1", "key_file": "k"}, "sent over https only"),
        ({"url": "https://host/v1", "credential": "k"}, "there are no credentials"),
        ({"url": "https://host/v1", "key_file": "/no/such"}, "/no/such cannot be read"),
        ({"url": "https://host/v1", "key_file": "k", "credential": "k"}, "not both"),
        ({"url": "https://host/v1", "ca": "/no/such.pem"}, "/no/such.pem: not a PEM file"),
    ],
)
async def test_what_cannot_work_is_said_at_the_start(
    settings: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SettingsError) as caught:
        async with open_provider("llm", ChatProvider(**settings), "llm.providers, number 1"):
            pass
    assert reason in str(caught.value)
    assert "sk-1" not in str(caught.value)


async def test_a_certificate_has_to_be_of_a_known_authority(tmp_path: Path) -> None:
    certified = certify(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certified.settings.values())
    async with http_peer(says("Yes."), tls=context) as peer:
        async with llm_at(peer, ca=str(certified.ca)) as (llm, _):
            assert text_of(await ask(llm)) == "Yes."
        async with llm_at(peer) as (llm, provider):
            assert "its certificate is not trusted" in str(await failure(llm))
            assert "its certificate is not trusted" in provider.trouble
