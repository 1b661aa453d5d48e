"""`voiced ask` against a scripted daemon, run as a process as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import run_voiced
from tests.client.scripted_peer import Peer, serve_script, spoken_turn, typed_turn
from voiced.audio.files import encode_wav, read_wav

if TYPE_CHECKING:
    from pathlib import Path

    from trio_websocket import WebSocketRequest


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """A tenth of a second of tone, in stereo at 44.1 kHz."""
    path = tmp_path / "said.wav"
    path.write_bytes(encode_wav(b"\x00\x10\x00\xf0" * 1200, 24_000))
    return path


async def test_spoken_exchange_as_json(wav: Path, tmp_path: Path) -> None:
    out = tmp_path / "reply.wav"
    async with serve_script(spoken_turn) as url:
        done = await run_voiced("ask", "--wav", str(wav), "--out", str(out), "--url", url, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    assert set(report) == {
        "transcript",
        "reply",
        "out",
        "audio_seconds",
        "end_of_speech_to_first_text_ms",
        "end_of_speech_to_first_audio_ms",
        "response_status",
    }
    assert report["transcript"] == "what time is it"
    assert report["reply"] == "It is noon."
    assert report["out"] == str(out)
    assert report["audio_seconds"] == 0.2
    assert report["response_status"] == "completed"
    assert report["end_of_speech_to_first_text_ms"] >= 0
    assert report["end_of_speech_to_first_text_ms"] <= report["end_of_speech_to_first_audio_ms"]
    assert read_wav(out).duration_s == pytest.approx(0.2)


async def test_typed_exchange_for_people() -> None:
    async with serve_script(typed_turn) as url:
        done = await run_voiced("ask", "--text", "hello", "--url", url)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"You typed: hello" in done.stdout
    assert b"first audio" in done.stdout


async def test_token_of_the_environment_is_presented() -> None:
    requests: list[WebSocketRequest] = []
    async with serve_script(typed_turn, requests) as url:
        await run_voiced("ask", "--text", "hello", "--url", url, VOICED_AUTH__TOKEN="s3cret")
    assert dict(requests[0].headers)[b"authorization"] == b"Bearer s3cret"


@pytest.mark.parametrize("code", [None, "invalid_api_key"])
async def test_a_refused_key_says_where_it_is_taken_from(code: str | None) -> None:
    async def script(peer: Peer) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": "No."}
        await peer.send("error", error=error)
        await peer.websocket.aclose(3000, "invalid_request_error")

    async with serve_script(script) as url:
        done = await run_voiced("ask", "--text", "hello", "--url", url)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"VOICED_AUTH__TOKEN" in done.stderr


async def test_another_refusal_speaks_of_no_key() -> None:
    async def script(peer: Peer) -> None:
        error = {"type": "invalid_request_error", "code": "too_many_sessions", "message": "No."}
        await peer.send("error", error=error)
        await peer.websocket.aclose(4029, "invalid_request_error.too_many_sessions")

    async with serve_script(script) as url:
        done = await run_voiced("ask", "--text", "hello", "--url", url)
    assert done.returncode == 1
    assert b"No. (too_many_sessions)" in done.stderr
    assert b"TOKEN" not in done.stderr


async def test_no_daemon_says_how_to_start_one() -> None:
    # Port 1 is reserved; nothing listens there.
    done = await run_voiced("ask", "--text", "hello", "--url", "ws://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"./scripts/run" in done.stderr


async def failed_turn(peer: Peer) -> None:
    """An answer of which nothing came but why."""
    await peer.greet()
    await peer.accept_update()
    await peer.expect("conversation.item.create")
    await peer.expect("response.create")
    await peer.begin_response()
    error = {"type": "server_error", "code": "engine_crashed", "message": "It stopped."}
    await peer.end_response(status="failed", status_details={"type": "failed", "error": error})
    await peer.linger()


async def test_failed_response_is_reported_and_is_a_failure() -> None:
    async with serve_script(failed_turn) as url:
        done = await run_voiced("ask", "--text", "hello", "--url", url, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["response_status"] == "failed"
    assert done.stderr == b"voiced: the response ended as failed: It stopped.\n"


async def test_silent_daemon_is_given_up_after_the_timeout() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.linger()

    async with serve_script(script) as url:
        done = await run_voiced("ask", "--text", "hello", "--url", url, "--timeout", "0.2")
    assert done.returncode == 1
    assert done.stderr == b"voiced: no whole reply came within 0.2 s\n"


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--text", "a", "--wav", "b"],
        ["--text", " "],
        ["--text", "a", "--timeout", "0"],
        ["--text", "a", "--timeout", "nan"],
        ["--text", "a", "--url", "http://x"],
    ],
)
async def test_bad_usage_is_exit_code_2(args: list[str]) -> None:
    done = await run_voiced("ask", *args)
    assert done.returncode == 2
    assert done.stdout == b""


async def test_unreadable_recording_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not audio at all")
    for name in (path, tmp_path / "absent.wav"):
        done = await run_voiced("ask", "--wav", str(name))
        assert done.returncode == 1
        assert str(name).encode() in done.stderr
        assert done.stderr.count(b"\n") == 1


async def test_of_an_answer_that_failed_nothing_is_said_but_why() -> None:
    async with serve_script(failed_turn) as url:
        done = await run_voiced("ask", "--text", "hello", "--url", url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"voiced: the response ended as failed: It stopped.\n"
