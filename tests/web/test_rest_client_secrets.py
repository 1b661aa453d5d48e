"""`POST /v1/realtime/client_secrets`, and the sockets that its secrets open."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.harness import (
    REMOTE,
    Status,
    ask,
    error_of,
    make_app,
    make_secrets,
    make_settings,
    read_close,
    running,
    status_of,
    websocket,
)

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

    from voiced.realtime.secrets import ClientSecrets
    from voiced.web.app import VoicedApp
    from voiced.web.websocket import Upgrade

PATH = "/v1/realtime/client_secrets"


def make_server(secrets: ClientSecrets) -> VoicedApp:
    return make_app(Status(make_settings(token="s3cret")), client_secrets=secrets)


async def post(
    app: VoicedApp, body: object, *, raw: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    data = json.dumps(body).encode() if raw is None else raw
    response = await app.test_client().post(PATH, data=data)
    return response.status_code, json.loads(await response.get_data())


async def test_an_empty_request_gives_a_secret_for_ten_minutes() -> None:
    secrets = make_secrets()
    status, made = await post(make_server(secrets), {})
    assert status == 200
    assert secrets.find(made["value"]) is not None
    assert abs(made["expires_at"] - time.time() - 600) < 5
    session = made["session"]
    assert (session["type"], session["object"]) == ("realtime", "realtime.session")
    assert session["id"].startswith("sess_")
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["expires_at"] > time.time()


async def test_the_session_is_shown_in_full_and_attached() -> None:
    secrets = make_secrets()
    wanted = {
        "type": "realtime",
        "model": "gpt-realtime-2.1",
        "instructions": "Whisper.",
        "audio": {"output": {"speed": 1.2}},
    }
    request = {"session": wanted, "expires_after": {"anchor": "created_at", "seconds": 10}}
    status, made = await post(make_server(secrets), request)
    assert status == 200
    assert made["session"]["model"] == "gpt-realtime-2.1"
    assert made["session"]["instructions"] == "Whisper."
    assert made["session"]["audio"]["output"]["speed"] == 1.2
    assert made["session"]["audio"]["input"]["format"]["type"] == "audio/pcm"
    attached = secrets.find(made["value"])
    assert attached is not None
    assert attached.kind == "realtime"
    assert json.loads(attached.session or b"") == wanted


async def test_a_secret_for_transcriptions_alone() -> None:
    secrets = make_secrets()
    wanted = {"type": "transcription", "audio": {"input": {"transcription": {"model": "x"}}}}
    status, made = await post(make_server(secrets), {"session": wanted})
    assert status == 200
    session = made["session"]
    assert (session["type"], session["object"]) == (
        *("transcription", "realtime.transcription_session"),
    )
    assert session["audio"]["input"]["transcription"]["model"] == "x"
    assert "instructions" not in session
    attached = secrets.find(made["value"])
    assert attached is not None
    assert attached.kind == "transcription"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"session": {}}, "missing_required_parameter", "session.type"),
        ({"session": {"type": "other"}}, "invalid_parameter", "session.type"),
        (
            {"session": {"type": "realtime", "audio": {"output": {"pitch": 1}}}},
            "unknown_parameter",
            "session.audio.output.pitch",
        ),
        (
            {"session": {"type": "realtime", "audio": {"output": {"speed": 9}}}},
            "decimal_above_max_value",
            "session.audio.output.speed",
        ),
        ({"session": {"type": "realtime", "model": 5}}, "invalid_value", "session.model"),
        ({"session": {"type": "realtime", "id": "x"}}, "unknown_parameter", "session.id"),
        (
            {"session": {"type": "transcription", "instructions": "x"}},
            "unknown_parameter",
            "session.instructions",
        ),
        ({"session": 5}, "invalid_value", "session"),
        ({"expires_after": {"seconds": 9}}, "integer_below_min_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "integer_above_max_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "birth"}}, "invalid_value", "expires_after.anchor"),
        ({"expires": 5}, "unknown_parameter", "expires"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_made(
    body: object, code: str, param: str
) -> None:
    secrets = make_secrets()
    status, answer = await post(make_server(secrets), body)
    assert status == 400
    assert (answer["error"]["code"], answer["error"]["param"]) == (code, param)
    assert secrets.count == 0


async def test_a_session_nested_beyond_reason_is_refused() -> None:
    secrets = make_secrets()
    deep = b'{"session":{"type":"realtime","prompt":' + b'{"a":' * 500 + b"1" + b"}" * 502
    status, _ = await post(make_server(secrets), None, raw=deep)
    assert status == 400
    assert secrets.count == 0


async def test_a_session_too_large_is_refused() -> None:
    secrets = make_secrets(most_bytes=5000)
    huge = {"session": {"type": "realtime", "instructions": "x" * 5000}}
    status, answer = await post(make_server(secrets), huge)
    assert (status, answer["error"]["code"]) == (429, "too_many_client_secrets")
    huge["session"]["instructions"] = "x" * 1_100_000
    assert (await post(make_server(secrets), huge))[0] == 413
    assert secrets.count == 0


async def test_a_flood_of_them_is_refused_until_one_expires() -> None:
    app = make_server(make_secrets(most=3))
    for _ in range(3):
        assert (await post(app, {}))[0] == 200
    response = await app.test_client().post(PATH, data=b"{}")
    assert response.status_code == 429
    assert 595 <= int(response.headers["Retry-After"]) <= 600


def request(key: str | None) -> bytes:
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n"
        "Content-Length: 2\r\n\r\n{}"
    ).encode()


async def test_only_the_token_makes_them_and_a_secret_opens_the_socket_alone() -> None:
    secrets = make_secrets()
    settings = make_settings(token="s3cret")
    app = make_server(secrets)
    async with running(settings, app=app, remote=REMOTE, client_secrets=secrets) as (_, port):
        for wrong in (None, "wrong", "ek_wrong"):
            assert status_of(await ask(port, request(wrong))) == 401
        assert secrets.count == 0
        made = await ask(port, request("s3cret"))
        assert status_of(made) == 200
        key = json.loads(made.partition(b"\r\n\r\n")[2])["value"]
        refused = await ask(port, request(key))
        assert (status_of(refused), error_of(refused)["code"]) == (401, "invalid_api_key")
        protocols = ("realtime", f"openai-insecure-api-key.{key}")
        for options in ({"protocols": protocols}, {"headers": {"Authorization": f"Bearer {key}"}}):
            async with websocket(port, **options) as client:
                await client.send_message("hello")
                assert await client.get_message() == "hello"
                assert key not in str(client.handshake_headers)


async def test_the_handler_gets_what_is_attached() -> None:
    secrets = make_secrets()
    seen: list[Upgrade] = []

    async def handler(_: WebSocketConnection, upgrade: Upgrade) -> None:
        seen.append(upgrade)

    app = make_server(secrets)
    async with running(app=app, handler=handler, client_secrets=secrets) as (_, port):
        _, made = await post(app, {"session": {"type": "realtime", "instructions": "Hum."}})
        for key in (made["value"], "local"):
            async with websocket(port, headers={"Authorization": f"Bearer {key}"}) as client:
                await read_close(client)
    with_secret, without = (upgrade.attached.session for upgrade in seen)
    assert json.loads(with_secret or b"") == {"type": "realtime", "instructions": "Hum."}
    assert without is None
