"""`/v1/audio/speech` and `/v1/audio/transcriptions`, byte by byte, on engines in memory."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import structs
from structlog.testing import capture_logs

from tests.patience import CEILING_S
from tests.realtime.fakes import FakeStt, FakeTts
from tests.web.harness import (
    Status,
    ask,
    connect,
    error_of,
    make_app,
    make_settings,
    read_all,
    running,
    status_of,
    until,
)
from voiced.audio.files import encode_wav, parse_wav, read_pcm16
from voiced.errors import EngineBusy, EngineCrashed, EngineUnavailable
from voiced.settings import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voiced.settings import Settings
    from voiced.web.app import VoicedApp

BOUNDARY = "frontier"


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., VoicedApp]:
    """Make the application, its uploads going to the test's own folder."""

    def make(limits: dict[str, Any] | None = None, **parts: object) -> VoicedApp:
        settings: Settings = structs.replace(
            make_settings(limits=limits), store=Store(directory=str(tmp_path))
        )
        return make_app(Status(settings), **parts)

    return make


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A WAV file in which somebody speaks twice, about 0.7 s each, 1.3 s apart."""
    path = tmp_path_factory.mktemp("speech") / "one.wav"
    command = [sys.executable, "-m", "voiced", "say", "good morning", "--out", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=CEILING_S)
    once = read_pcm16(path, 16_000)
    assert 0.5 < len(once) / 32_000 < 1.2
    second = (once + bytes(64_000))[:64_000]
    return encode_wav(second + second, 16_000)


def post(path: str, body: bytes, kind: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def say(**fields: object) -> bytes:
    return post("/v1/audio/speech", json.dumps(fields).encode(), "application/json")


def transcribe(file: bytes | None, *fields: tuple[str, str]) -> bytes:
    body = b""
    for name, value in fields:
        body += (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        ).encode()
    if file is not None:
        head = 'Content-Disposition: form-data; name="file"; filename="x.mp3"'
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + file + b"\r\n"
    body += f"--{BOUNDARY}--\r\n".encode()
    return post("/v1/audio/transcriptions", body, f"multipart/form-data; boundary={BOUNDARY}")


def body_of(response: bytes) -> bytes:
    """The body, without the marks of its chunks."""
    head, _, rest = response.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return body
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]


def events_of(response: bytes) -> list[Any]:
    """The JSON of server-sent events; `[DONE]` as it is."""
    lines = [line for line in body_of(response).decode().split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    data = [line.removeprefix("data: ") for line in lines]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


# -- speech -------------------------------------------------------------------------------


async def test_pcm_is_what_the_engine_said_at_24_khz(build: Callable[..., VoicedApp]) -> None:
    tts = FakeTts(clause_ms=500, rate=22_050)
    async with running(app=build(tts=tts)) as (_, port):
        response = await ask(
            port, say(input="One two three. Four.", voice={"id": "nova"}, response_format="pcm")
        )
    assert status_of(response) == 200
    assert b"content-type: audio/pcm" in response.lower()
    assert len(body_of(response)) == pytest.approx(2 * 24_000 * 2 * 0.5, abs=96)
    assert [text for text, _, _ in tts.spoken] == ["One two three.", "Four."]
    assert tts.left == ["done", "done"]


async def test_what_is_for_the_eye_alone_is_not_said(build: Callable[..., VoicedApp]) -> None:
    tts = FakeTts()
    text = "**Take** 5 km:\n```\nx = 1. Really.\n```\nThen *stop*. \U0001f600"
    async with running(app=build(tts=tts)) as (_, port):
        response = await ask(port, say(input=text, response_format="pcm"))
    assert status_of(response) == 200
    assert [said for said, _, _ in tts.spoken] == ["Take 5 kilometers:", "Then stop."]


async def test_wav_says_that_its_length_is_unknown(build: Callable[..., VoicedApp]) -> None:
    async with running(app=build()) as (_, port):
        body = body_of(await ask(port, say(input="One.", response_format="wav", speed=2)))
    assert body[:8] == b"RIFF\xff\xff\xff\xff"
    assert parse_wav(body).duration_s == pytest.approx(0.5)


async def test_what_is_for_the_eye_is_not_spoken(build: Callable[..., VoicedApp]) -> None:
    tts = FakeTts()
    async with running(app=build(tts=tts)) as (_, port):
        text = "**It** is `5 km`. \U0001f600"
        response = await ask(port, say(input=text, response_format="pcm"))
    assert status_of(response) == 200
    assert [text for text, _, _ in tts.spoken] == ["It is 5 kilometers."]


async def test_first_clause_leaves_before_the_second_is_spoken(
    build: Callable[..., VoicedApp],
) -> None:
    tts = FakeTts(first_s=0.0)
    speak = tts.speak

    def slow(text: str, **options: Any) -> Any:  # noqa: ANN401  # of the port
        if text.startswith("Second"):
            tts.first_s = 1e6
        return speak(text, **options)

    tts.speak = slow  # type: ignore[method-assign]
    async with running(app=build(tts=tts)) as (_, port), await connect(port) as stream:
        await stream.send_all(say(input="The first clause. Second clause.", response_format="pcm"))
        received = 0
        while received < 500 * 48:
            received += len(await stream.receive_some())
        await until(lambda: len(tts.spoken) == 2)
        assert tts.left == ["done"]


@pytest.mark.parametrize("file_format", ["wav", "mp3"])
async def test_client_that_goes_stops_the_engine(
    file_format: str, build: Callable[..., VoicedApp]
) -> None:
    tts = FakeTts(first_s=1e6)
    async with running(app=build(tts=tts)) as (_, port):
        async with await connect(port) as stream:
            await stream.send_all(say(input="Hello.", response_format=file_format))
            await until(lambda: tts.open == 1)
        await until(lambda: tts.left == ["cancelled"])


async def test_speech_as_events(build: Callable[..., VoicedApp]) -> None:
    async with running(app=build()) as (_, port):
        response = await ask(
            port,
            say(input="One two.", voice="x", response_format="pcm", stream_format="sse"),
        )
    assert b"content-type: text/event-stream" in response.lower()
    *deltas, done = events_of(response)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert len(audio) == 24_000
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 2, "output_tokens": 0, "total_tokens": 2},
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"input": 7}, "input"),
        ({"input": "x", "speed": 0.1}, "speed"),
        ({"input": "x", "speed": 5}, "speed"),
        ({"input": "x", "response_format": "ogg"}, "response_format"),
        ({"input": "x", "stream_format": "ws"}, "stream_format"),
        ({"input": "x", "voice": 3}, "voice"),
        ({"input": "x", "voice": {}}, "voice.id"),
        ({"input": "x", "instructions": "x" * 4097}, "instructions"),
    ],
)
async def test_bad_speech_request_names_its_field(
    fields: dict[str, Any], param: str, build: Callable[..., VoicedApp]
) -> None:
    async with running(app=build()) as (_, port):
        response = await ask(port, say(**fields))
    assert status_of(response) == 400
    assert error_of(response)["param"] == param


async def test_text_without_words_is_refused_and_unknown_fields_are_not(
    build: Callable[..., VoicedApp],
) -> None:
    async with running(app=build()) as (_, port):
        for text in (" … !", "```\nprint()\n```", "\U0001f600"):
            response = await ask(port, say(input=text))
            assert (status_of(response), error_of(response)["code"]) == (400, "nothing_to_say")
        response = await ask(port, say(input="A.", response_format="pcm", future="x"))
        assert status_of(response) == 200


@pytest.mark.parametrize("file_format", ["pcm", "mp3"])
@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (EngineBusy("full"), 429, b"retry-after: 1"),
        (EngineUnavailable("down"), 503, b"retry-after: 2"),
        (EngineUnavailable("down", retry_after_s=41.2), 503, b"retry-after: 42"),
        (EngineUnavailable("loading", retry_after_s=0.0), 503, b"retry-after: 2"),
    ],
)
async def test_engine_that_cannot_now_is_an_error_and_no_broken_file(
    error: Exception, status: int, header: bytes, file_format: str, build: Callable[..., VoicedApp]
) -> None:
    tts = FakeTts(clause_ms=0, error=error)
    async with running(app=build(tts=tts)) as (_, port):
        response = await ask(port, say(input="Hello.", response_format=file_format))
    assert status_of(response) == status
    assert header in response.lower()


async def test_engine_that_fails_later_cuts_the_file(build: Callable[..., VoicedApp]) -> None:
    tts = FakeTts(error=EngineCrashed("crashed"))
    async with running(app=build(tts=tts)) as (_, port):
        response = await ask(port, say(input="Hello.", response_format="pcm"))
        assert status_of(response) == 200
        assert not response.endswith(b"0\r\n\r\n")
        response = await ask(port, say(input="Hello.", response_format="pcm", stream_format="sse"))
        assert events_of(response)[-1]["error"]["code"] == "engine_crashed"


async def test_more_speeches_than_allowed_are_refused(build: Callable[..., VoicedApp]) -> None:
    tts = FakeTts(first_s=1e6)
    async with running(app=build(tts=tts, limits={"speeches": 1})) as (_, port):
        async with await connect(port) as stream:
            await stream.send_all(say(input="Hello.", response_format="pcm"))
            await until(lambda: tts.open == 1)
            response = await ask(port, say(input="Hello.", response_format="pcm"))
            assert status_of(response) == 429
            assert b"retry-after" in response.lower()
        await until(lambda: tts.open == 0)
        tts.first_s = 0.0
        response = await ask(port, say(input="Hello.", response_format="pcm"))
        assert status_of(response) == 200, "the place is free again"


# -- transcriptions -----------------------------------------------------------------------


async def test_subtitles_have_the_times_of_the_recording(
    build: Callable[..., VoicedApp], two: bytes
) -> None:
    async with running(app=build(stt=FakeStt("hello there"))) as (_, port):
        response = await ask(port, transcribe(two, ("response_format", "srt")))
    assert b"content-type: text/plain" in response.lower()
    first, second, rest = body_of(response).decode().split("\n\n")
    assert rest == ""
    for cue, number, start in ((first, "1", 0.0), (second, "2", 2.0)):
        index, times, text = cue.split("\n")
        assert (index, text) == (number, "hello there")
        begin, end = (float(time[-6:].replace(",", ".")) for time in times.split(" --> "))
        assert begin == pytest.approx(start, abs=0.2)
        assert begin + 0.3 < end < start + 1.3


async def test_text_as_events_while_it_is_understood(
    build: Callable[..., VoicedApp], two: bytes
) -> None:
    async with running(app=build(stt=FakeStt("hello"))) as (_, port):
        response = await ask(port, transcribe(two, ("stream", "true"), ("model", "whisper-1")))
    assert b"content-type: text/event-stream" in response.lower()
    assert events_of(response) == [
        {"type": "transcript.text.delta", "delta": "hello"},
        {"type": "transcript.text.delta", "delta": " hello"},
        {"type": "transcript.text.done", "text": "hello hello"},
        "[DONE]",
    ]


async def test_engine_hears_the_speech_and_is_told_what_to_expect(
    build: Callable[..., VoicedApp],
    two: bytes,
) -> None:
    stt = FakeStt()
    async with running(app=build(stt=stt)) as (_, port):
        response = await ask(
            port,
            transcribe(two, ("language", "en"), ("prompt", "A talk."), ("keywords[]", "Trio")),
        )
    assert json.loads(body_of(response))["usage"] == {"type": "duration", "seconds": 4.0}
    assert stt.asked == [("en", "A talk. Trio")] * 2
    assert stt.left == ["done", "done"]
    assert all(0.5 < len(pcm) / 32_000 < 1.6 for pcm in stt.heard)


async def test_silence_is_no_text_and_no_failure(build: Callable[..., VoicedApp]) -> None:
    async with running(app=build()) as (_, port):
        response = await ask(port, transcribe(encode_wav(bytes(32_000), 16_000)))
    assert (status_of(response), json.loads(body_of(response))["text"]) == (200, "")


@pytest.mark.parametrize(
    ("request_", "status", "param"),
    [
        (transcribe(None, ("model", "m")), 400, "file"),
        (transcribe(b"", ("model", "m")), 400, None),
        (transcribe(b"x", ("temperature", "9")), 400, "temperature"),
        (transcribe(b"x", ("response_format", "diarized_json")), 400, "response_format"),
        (transcribe(bytes(3_000_000)), 413, "file"),
        (post("/v1/audio/transcriptions", b"{}", "application/json"), 415, None),
        (post("/v1/audio/transcriptions", b"--x", "multipart/form-data; boundary=y"), 400, None),
        (b"GET /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
         405, None),
        (post("/v1/audio/translations", b"", "text/plain"), 404, None),
    ],
)  # fmt: skip
async def test_bad_transcription_request_is_said(
    request_: bytes, status: int, param: str | None, build: Callable[..., VoicedApp]
) -> None:
    stt = FakeStt()
    async with running(app=build(stt=stt, limits={"upload_mb": 2.0})) as (_, port):
        response = await ask(port, request_)
    assert status_of(response) == status
    assert error_of(response)["param"] == param
    assert stt.asked == []


async def test_recording_longer_than_allowed_is_refused(
    build: Callable[..., VoicedApp], two: bytes
) -> None:
    async with running(app=build(limits={"recording_s": 3.0})) as (_, port):
        response = await ask(port, transcribe(two))
    assert (status_of(response), error_of(response)["code"]) == (400, "invalid_audio")


async def test_client_that_goes_stops_the_recogniser(
    build: Callable[..., VoicedApp], two: bytes, tmp_path: Path
) -> None:
    stt = FakeStt(delay_s=1e6)
    async with running(app=build(stt=stt)) as (_, port):
        async with await connect(port) as stream:
            await stream.send_all(transcribe(two))
            await until(lambda: stt.open == 1)
        await until(lambda: stt.left == ["cancelled"])
    assert not list((tmp_path / "tmp").iterdir())


async def test_client_that_goes_amid_its_upload_leaves_nothing(
    build: Callable[..., VoicedApp], two: bytes, tmp_path: Path
) -> None:
    async with running(app=build(limits={"transcriptions": 1})) as (_, port):
        async with await connect(port) as stream:
            whole = transcribe(bytes(4_000_000))
            await stream.send_all(whole[: len(whole) // 2])
            await until((tmp_path / "tmp").exists)
            response = await ask(port, transcribe(two))
            assert status_of(response) == 429
        # until it has been noticed
        while status_of(await ask(port, transcribe(two))) == 429:  # noqa: ASYNC110
            await trio.sleep(0.05)
    assert not list((tmp_path / "tmp").iterdir())


async def test_engine_down_is_said_and_crash_is_tried_again(
    build: Callable[..., VoicedApp],
    two: bytes,
) -> None:
    stt = FakeStt(error=EngineUnavailable("down"))
    async with running(app=build(stt=stt)) as (_, port):
        response = await ask(port, transcribe(two))
        assert status_of(response) == 503
        stt.error = EngineCrashed("crashed")
        stt.asked.clear()
        response = await ask(port, transcribe(two))
        assert (status_of(response), len(stt.asked)) == (503, 2)
        stt.error = EngineBusy("full")
        response = await ask(port, transcribe(two, ("stream", "true")))
        assert status_of(response) == 429


async def test_keep_alive_connection_serves_on_after_a_transcription(
    build: Callable[..., VoicedApp],
    two: bytes,
) -> None:
    request = transcribe(two).replace(b"Connection: close\r\n", b"", 1)
    async with running(app=build()) as (_, port), await connect(port) as stream:
        await stream.send_all(request)
        data = b""
        while b"0\r\n\r\n" not in data[-5:] and b"seconds" not in data:
            data += await stream.receive_some()
        await stream.send_all(say(input="One.", response_format="pcm"))
        assert b"audio/pcm" in await read_all(stream)


async def test_the_log_says_who_was_served_and_why_others_were_not(
    build: Callable[..., VoicedApp],
) -> None:
    with capture_logs() as logs:
        async with running(app=build(tts=FakeTts(clause_ms=100))) as (_, port):
            assert status_of(await ask(port, say(input="A.", response_format="pcm"))) == 200
            assert status_of(await ask(port, say(input=5))) == 400
            assert status_of(await ask(port, say(input="...", response_format="pcm"))) == 400
            assert status_of(await ask(port, post("/v1/nothing?key=s3cret", b"", "x/y"))) == 404
            assert status_of(await ask(port, post("/nothing", b"", "x/y"))) == 404
    (spoke,) = (entry for entry in logs if entry["event"] == "spoke")
    assert spoke["remote"] == "127.0.0.1"
    refused = [entry for entry in logs if entry["event"] == "refuse request"]
    assert [(entry["path"], entry["status"], entry["code"]) for entry in refused] == [
        ("/v1/audio/speech", 400, "invalid_value"),
        ("/v1/audio/speech", 400, "nothing_to_say"),
        ("/v1/nothing", 404, "not_found"),
    ]
    assert refused[0]["param"] == "input"
    assert {entry["remote"] for entry in refused} == {"127.0.0.1"}
    assert "s3cret" not in repr(logs)
