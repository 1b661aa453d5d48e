"""Jobs of a whole daemon: it stops soon, goes on where it was, and talks without a database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx2

from tests.patience import CEILING_S
from tests.realtime.live import Daemon, daemon
from voiced.audio.files import encode_wav

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "This is said by a stub. " * 3

SLOW = {"VOICED_TTS__FIRST_MS": "100000"}
"""An engine that takes longer over a sentence than anybody waits here."""


def ask(running: Daemon, method: str, path: str, **body: Any) -> httpx2.Response:  # noqa: ANN401
    with httpx2.Client(trust_env=False, timeout=CEILING_S) as client:
        return client.request(method, f"http://127.0.0.1:{running.port}{path}", **body)


def until(running: Daemon, job_id: str, *statuses: str) -> dict[str, Any]:
    ends = time.monotonic() + CEILING_S
    while True:
        job: dict[str, Any] = ask(running, "GET", f"/v1/jobs/{job_id}").json()
        if job["status"] in statuses:
            return job
        assert time.monotonic() < ends, job
        time.sleep(0.02)


def test_a_daemon_stops_with_a_job_under_way_and_the_next_one_does_it(tmp_path: Path) -> None:
    with daemon(tmp_path, **SLOW) as running:
        speech = {"type": "speech", "input": TEXT, "response_format": "wav"}
        job_id = ask(running, "POST", "/v1/jobs", json=speech).json()["job_id"]
        until(running, job_id, "running")
        assert ask(running, "GET", "/health").json()["jobs"] == {"running": 1}
        assert running.stop() == 0
        assert "job parked" in [line["event"] for line in running.log]
    with daemon(tmp_path) as running:
        until(running, job_id, "completed")
        result = ask(running, "GET", f"/v1/jobs/{job_id}/result")
        assert result.content[:4] == b"RIFF"
        assert [line for line in running.log if line["level"] == "error"] == []


def test_a_daemon_without_a_database_talks_and_refuses_jobs(tmp_path: Path) -> None:
    (tmp_path / "state" / "voiced.db").mkdir(parents=True)
    with daemon(tmp_path) as running:
        assert ask(running, "GET", "/ready").status_code == 200
        file = {"file": ("a.wav", encode_wav(bytes(3200), 16_000))}
        refused = ask(running, "POST", "/v1/jobs", data={"type": "transcription"}, files=file)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_failed")
        assert ask(running, "GET", "/v1/jobs").status_code == 503
        question = {"model": "voiced", "messages": [{"role": "user", "content": "Hello"}]}
        assert ask(running, "POST", "/v1/chat/completions", json=question).status_code == 200
