"""OpenAI's own Python SDK, unmodified, against a live daemon: speech and transcriptions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import CEILING_S
from tests.realtime.live import daemon
from voiced.audio.files import parse_wav
from voiced.testing.stubs import TRANSCRIPT

PROGRAM = Path(__file__).with_name("openai_audio.py")


def test_a_program_for_openai_speaks_and_transcribes(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with daemon(tmp_path, VOICED_TTS__ENGINE="espeak") as running:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), f"http://127.0.0.1:{running.port}/v1", str(work)],
            capture_output=True,
            timeout=CEILING_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert not list((tmp_path / "state" / "tmp").iterdir())
    told = json.loads(done.stdout)
    assert {name: kind for name, (kind, _) in told["spoken"].items()} == {
        "mp3": "audio/mpeg",
        "opus": "audio/ogg",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
        "pcm": "audio/pcm",
    }
    pcm = (work / "speech.pcm").read_bytes()
    seconds = len(pcm) / 48_000
    assert 3 < seconds < 8
    assert parse_wav((work / "speech.wav").read_bytes()).duration_s == pytest.approx(
        seconds, abs=0.05
    )
    for text, duration_s in told["heard"].values():
        # espeak pauses between its sentences, and the stub hears the same in each
        assert text == " ".join([TRANSCRIPT] * (text.count(TRANSCRIPT)))
        assert TRANSCRIPT in text
        assert duration_s == pytest.approx(seconds, abs=0.15)
    assert told["texts"]["text"].strip() == told["heard"]["mp3"][0]
    assert told["texts"]["srt"].startswith("1\n00:00:0")
    assert told["texts"]["vtt"].startswith("WEBVTT\n\n00:00:0")
    verbose = told["verbose"]
    assert verbose["language"] == "en"
    assert verbose["duration"] == pytest.approx(seconds, abs=0.15)
    times = [(one["start"], one["end"]) for one in verbose["segments"]]
    assert times == sorted(times)
    assert all(0 <= start < end <= verbose["duration"] for start, end in times)
    assert {one["temperature"] for one in verbose["segments"]} == {0.2}
    *deltas, last = told["events"]
    assert "".join(event["delta"] for event in deltas) == last["text"] != ""
    assert len(deltas) > 1
    assert told["errors"] == [
        [400, "response_format"],
        [400, "language"],
        [400, "timestamp_granularities"],
        [400, "invalid_audio"],
        [400, "input"],
    ]
