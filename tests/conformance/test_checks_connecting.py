"""Getting in: the checks of the protocol sheet about connecting, against a whole daemon.

Each runs over plain WebSockets and over TLS.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Event, Ping, TextMessage

from tests.clients.oracles import why_no_node
from tests.patience import CEILING_S
from tests.realtime.live import Client, connected, open_socket, open_stream, secure_daemon
from tests.web.harness import read_all, status_of, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.checking import Door
    from tests.realtime.live import Daemon

TOKEN = "s3cret-token"
CLIENTS = Path(__file__).resolve().parent.parent / "clients"
GREETED = """
    import OpenAI from "openai";
    import { OpenAIRealtimeWS } from "openai/realtime/ws";
    const [baseURL, apiKey] = process.argv.slice(1);
    const rt = new OpenAIRealtimeWS({ model: "voiced" }, new OpenAI({ baseURL, apiKey }));
    rt.on("event", (event) => {
      console.log(event.type);
      rt.close();
    });
"""
TEXT: dict[str, Any] = {"output_modalities": ["text"]}
EMPTY_LINE = b"\r\n\r\n"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Place:
    """One of the two ports of a daemon that demands its token here too."""

    def __init__(self, running: Daemon, *, secure: bool) -> None:
        self.url = running.secure_url if secure else running.url
        self.ca = running.ca if secure else None
        self.running = running

    async def ask(self, request: bytes) -> bytes:
        """Send `request` and return all that comes until the daemon closes."""
        async with await open_stream(self.url, self.ca) as stream:
            await stream.send_all(request)
            return await read_all(stream)

    async def post_secret(self, body: object, key: str = TOKEN) -> tuple[int, dict[str, Any]]:
        """Ask for a client secret; the status and the JSON body."""
        data = json.dumps(body).encode()
        answer = await self.ask(
            b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
            % (key.encode(), len(data), data)
        )
        return status_of(answer), json.loads(answer.partition(b"\r\n\r\n")[2])

    async def turned_away(self, query: str = "", **options: Any) -> tuple[str | None, int, str]:  # noqa: ANN401  # handed on
        """Connect; the code of the one `error` that comes, and of the Close after it."""
        async with open_socket(self.url + query, ca=self.ca, **options) as websocket:
            client = Client(websocket)
            event = await client.next()
            assert event["type"] == "error"
            assert event["error"]["event_id"] is None
            reason = await client.close_reason()
            assert len(client.events) == 1
            return event["error"]["code"], reason.code, reason.reason or ""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with secure_daemon(
        tmp_path_factory.mktemp("connecting"),
        VOICED_AUTH__TOKEN=TOKEN,
        VOICED_AUTH__TOKEN_ON_LOOPBACK="true",
    ) as daemon:
        yield daemon


@pytest.fixture(params=["ws", "wss"])
def place(running: Daemon, request: pytest.FixtureRequest) -> Place:
    return Place(running, secure=request.param == "wss")


async def test_check_01_the_server_speaks_first(place: Place) -> None:
    async with connected(place.url + "?model=x", headers=BEARER, ca=place.ca) as client:
        assert client.events[0]["session"]["model"] == "x"


async def test_check_02_a_key_in_a_subprotocol_opens_and_is_not_repeated(place: Place) -> None:
    offers = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{TOKEN}"
    async with await open_stream(place.url, place.ca) as stream:
        await stream.send_all(upgrade("/v1/realtime", offers))
        answer = b""
        while b"session.created" not in answer:
            answer += await stream.receive_some()
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 101")
    assert head.count(b"sec-websocket-protocol") == 1
    assert b"sec-websocket-protocol: realtime" in head.split(b"\r\n")
    assert TOKEN.encode() not in answer


@pytest.mark.parametrize(
    "offered",
    [
        ("openai-insecure-api-key." + TOKEN, "realtime"),
        (
            "realtime",
            "openai-organization.o",
            "openai-project.p",
            "openai-insecure-api-key." + TOKEN,
        ),
        ("realtime", "openai-insecure-api-key." + TOKEN, "openai-agents-sdk.0.20.0"),
    ],
)
async def test_check_02_in_whatever_order_and_company(
    place: Place, offered: tuple[str, ...]
) -> None:
    async with connected(place.url, protocols=offered, ca=place.ca) as client:
        assert client.websocket.subprotocol == "realtime"


async def test_check_03_without_an_offer_there_is_no_answer(place: Place) -> None:
    async with connected(place.url, headers=BEARER, ca=place.ca) as client:
        assert client.websocket.subprotocol is None


async def test_check_04_without_a_model_there_is_the_default_one(place: Place) -> None:
    async with connected(place.url, headers=BEARER, ca=place.ca) as client:
        assert client.events[0]["session"]["model"] == "voiced"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": "Bearer wrong"}},
        {"protocols": ("realtime", "openai-insecure-api-key.wrong")},
        {"protocols": ("realtime", "openai-insecure-api-key.ek_wrong")},
        # Authorization comes first.
        {
            "headers": {"Authorization": "Bearer wrong"},
            "protocols": ("realtime", "openai-insecure-api-key." + TOKEN),
        },
    ],
)
async def test_check_05_a_wrong_key_is_told_and_closed(
    place: Place, options: dict[str, Any]
) -> None:
    ended = await place.turned_away("?model=voiced", **options)
    assert ended == ("invalid_api_key", 3000, "invalid_request_error.invalid_api_key")


@pytest.mark.parametrize("word", [None, "null", "undefined"])
async def test_check_05_no_key_is_told_so(place: Place, word: str | None) -> None:
    protocols = ("realtime",) if word is None else ("realtime", f"openai-insecure-api-key.{word}")
    assert await place.turned_away(protocols=protocols) == (None, 3000, "invalid_request_error")


@pytest.mark.parametrize("field", ["Origin: https://evil.example", "Host: evil.example"])
async def test_check_06_foreign_pages_and_names_are_refused_before_the_upgrade(
    place: Place, field: str
) -> None:
    request = upgrade("/v1/realtime", f"Authorization: Bearer {TOKEN}", field)
    if field.startswith("Host"):
        request = request.replace(b"Host: localhost\r\n", b"")
    assert status_of(await place.ask(request)) in {403, 421}


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {**BEARER, "OpenAI-Beta": "realtime=v1"}},
        {
            "protocols": (
                *("realtime", "openai-insecure-api-key." + TOKEN),
                "openai-beta.realtime-v1",
            )
        },
    ],
)
async def test_check_07_the_beta_is_refused_like_by_the_real_service(
    place: Place, options: dict[str, Any]
) -> None:
    ended = await place.turned_away(**options)
    code = "beta_api_shape_disabled"
    assert ended == (code, 4000, f"invalid_request_error.{code}")


@pytest.mark.parametrize(
    ("query", "code", "close_code"),
    [
        ("?intent=translation", "invalid_value", 4000),
        ("?call_id=rtc_1", "invalid_value", 4000),
        ("?intent=transcription&model=voiced", "invalid_parameter", 4000),
        ("?session_id=sess_1", "session_not_found", 4001),
    ],
)
async def test_a_request_that_is_not_served_is_told_why(
    place: Place, query: str, code: str, close_code: int
) -> None:
    ended = await place.turned_away(query, headers=BEARER)
    assert ended == (code, close_code, f"invalid_request_error.{code}")


async def test_check_09_a_ping_is_answered_while_a_response_is_generated(place: Place) -> None:
    async with connected(place.url, headers=BEARER, ca=place.ca) as client:
        await client.add_text("hello")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        for _ in range(3):
            with trio.fail_after(CEILING_S):  # the check's one second is no matter of right
                await client.websocket.ping()
        assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.skipif(why_no_node() is not None, reason=why_no_node() or "")
async def test_check_08_the_node_sdk_is_greeted_over_tls(running: Daemon) -> None:
    """It dials nothing but wss, and trusts the authority that its environment names."""
    base_url = f"https://localhost:{running.secure_port}/v1"
    command = ["node", "--input-type=module", "-e", GREETED, base_url, TOKEN]
    environ = {"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(running.ca)}
    with trio.fail_after(CEILING_S):
        done = await trio.run_process(command, capture_stdout=True, env=environ, cwd=CLIENTS)
    assert done.stdout == b"session.created\n"


async def test_check_09_a_quiet_client_is_pinged_and_told_nothing(door: Door) -> None:
    """The setting that makes it 20 s is shorter here; the vendors' clients send pings too."""
    seen: list[Event] = []
    with trio.fail_after(CEILING_S):
        async with await open_stream(door.url, door.ca) as stream:
            await stream.send_all(upgrade("/v1/realtime"))
            received = b""
            while EMPTY_LINE not in received:
                received += await stream.receive_some()
            wire = Connection(
                ConnectionType.CLIENT, trailing_data=received.partition(EMPTY_LINE)[2]
            )
            while sum(isinstance(event, Ping) for event in seen) < 2:
                for event in wire.events():
                    seen.append(event)
                    if isinstance(event, Ping):
                        await stream.send_all(wire.send(event.response()))
                wire.receive_data(bytes(await stream.receive_some()))
    told = "".join(event.data for event in seen if isinstance(event, TextMessage))
    assert json.loads(told)["type"] == "session.created"


async def test_check_10_a_burst_before_anything_is_read_is_honoured_in_order(
    place: Place,
) -> None:
    async with open_socket(place.url, headers=BEARER, ca=place.ca) as websocket:
        client = Client(websocket)
        await client.send("session.update", session={"type": "realtime", "instructions": "Hum."})
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "hello"}],
        }
        await client.send("conversation.item.create", item=item)
        await client.send("response.create")
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        assert client.types()[:5] == [
            *("session.created", "session.updated", "conversation.item.added"),
            *("conversation.item.done", "response.created"),
        ]


async def test_check_35_an_append_of_15_mib_is_taken(place: Place) -> None:
    async with connected(place.url, headers=BEARER, ca=place.ca) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        audio = base64.b64encode(bytes(15 << 20)).decode()
        await client.send("input_audio_buffer.append", audio=audio)
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
        assert "error" not in client.types()


async def test_check_47_garbage_is_answered_once_each_and_then_a_turn_works(place: Place) -> None:
    async with connected(place.url, headers=BEARER, ca=place.ca) as client:
        for garbage, code in (
            (b'{"type":"response.create"}', "invalid_event"),
            ("no JSON", "invalid_json"),
            ("[]", "invalid_event"),
            ("{}", "invalid_event"),
            ('{"type":"no.such"}', "invalid_value"),
        ):
            await client.send_raw(garbage)
            assert (await client.error())["code"] == code
        assert (await client.type_in("hello"))["status"] == "completed"


async def test_check_48_a_client_secret_opens_sessions_that_begin_with_what_is_attached(
    place: Place,
) -> None:
    session = {
        "type": "realtime",
        "instructions": "Whisper.",
        "output_modalities": ["text"],
        "audio": {"input": {"turn_detection": None}},
    }
    status, made = await place.post_secret({"session": session})
    assert status == 200
    key = made["value"]
    assert key.startswith("ek_")
    protocols = ("realtime", f"openai-insecure-api-key.{key}")
    for options in ({"protocols": protocols}, {"headers": {"Authorization": f"Bearer {key}"}}):
        async with connected(place.url, ca=place.ca, **options) as client:
            created = client.events[0]["session"]
            for volatile in ("id", "expires_at", "voiced"):
                created.pop(volatile)
                made["session"].pop(volatile, None)
            assert created == made["session"]
            assert created["instructions"] == "Whisper."
            assert created["audio"]["input"]["turn_detection"] is None
            assert (await client.configure(instructions="Shout."))["instructions"] == "Shout."
    assert key not in place.running.raw_log
    assert TOKEN not in place.running.raw_log


async def test_check_48_a_secret_for_transcriptions_opens_nothing_else(place: Place) -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "x"}}}}
    _, made = await place.post_secret({"session": session})
    headers = {"Authorization": f"Bearer {made['value']}"}
    for query in ("", "?intent=transcription", "?model=voiced"):
        async with connected(place.url + query, headers=headers, ca=place.ca) as client:
            created = client.events[0]["session"]
            assert created["object"] == "realtime.transcription_session"
            assert created["audio"] == made["session"]["audio"]
            assert created["audio"]["input"]["transcription"]["model"] == "x"
    _, made = await place.post_secret({"session": {"type": "realtime"}})
    headers = {"Authorization": f"Bearer {made['value']}"}
    ended = await place.turned_away("?intent=transcription", headers=headers)
    assert ended[:2] == ("invalid_parameter", 4000)


async def test_check_48_a_secret_is_no_key_to_anything_else(place: Place) -> None:
    _, made = await place.post_secret({})
    status, answer = await place.post_secret({}, key=made["value"])
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")


async def test_check_48_after_its_time_a_secret_is_refused_and_its_session_goes_on(
    running: Daemon,
) -> None:
    """The one test here that has to wait: no secret lives for less than 10 s."""
    places = [Place(running, secure=secure) for secure in (False, True)]
    made = [(await place.post_secret({"expires_after": {"seconds": 10}}))[1] for place in places]
    headers = [{"Authorization": f"Bearer {secret['value']}"} for secret in made]
    async with (
        connected(places[0].url, headers=headers[0]) as plain,
        connected(places[1].url, headers=headers[1], ca=places[1].ca) as secure,
    ):
        await trio.sleep(max(secret["expires_at"] for secret in made) + 1 - time.time())
        for place, key in zip(places, headers, strict=True):
            code, *_ = await place.turned_away(headers=key)
            assert code == "invalid_api_key"
        for client in (plain, secure):
            assert (await client.type_in("hello"))["status"] == "completed"


async def test_check_50_a_connection_that_drops_in_mid_response_leaves_room_for_the_next(
    place: Place,
) -> None:
    for _ in range(7):  # more than one address may have at once
        stream = await open_stream(place.url, place.ca)
        await stream.send_all(upgrade("/v1/realtime", f"Authorization: Bearer {TOKEN}"))
        message = b'{"type":"response.create"}'
        await stream.send_all(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
        received = b""
        while b"response.created" not in received:
            received += await stream.receive_some()
        await trio.aclose_forcefully(stream)
        async with connected(place.url, headers=BEARER, ca=place.ca) as client:
            assert (await client.type_in("hello", **TEXT))["status"] == "completed"


async def test_an_offer_of_compression_is_declined_and_the_talk_goes_on(place: Place) -> None:
    headers = {**BEARER, "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    async with connected(place.url, headers=headers, ca=place.ca) as client:
        fields = dict(client.websocket.handshake_headers)
        assert b"sec-websocket-extensions" not in fields
        assert (await client.type_in("hello"))["status"] == "completed"


async def test_a_session_that_has_lasted_its_time_is_told_and_closed(tmp_path: Path) -> None:
    with secure_daemon(tmp_path, VOICED_SESSION__MAX_S="1") as running:
        for url, ca in ((running.url, None), (running.secure_url, running.ca)):
            async with connected(url, ca=ca) as client:
                expires_at = client.events[0]["session"]["expires_at"]
                assert abs(expires_at - time.time() - 1) < 2
                assert (await client.error())["code"] == "session_expired"
                reason = await client.close_reason()
                assert (reason.code, reason.reason) == (1001, "session_expired")
