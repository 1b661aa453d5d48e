"""`kill -9` of the daemon, again and again while it transcribes: the transcript is the same.

`VOICED_KILLS=50 VOICED_KILL_MINUTES=10` is the long version of it; it takes a quarter of an hour.
"""

from __future__ import annotations

import math
import os
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np

from tests.models.whisper_model import Listener, write_listener
from tests.patience import CEILING_S
from tests.realtime.live import Daemon, daemon, make_speech
from voiced.audio.files import encode_wav
from voiced.audio.pcm import WIRE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = int(os.environ.get("VOICED_KILLS", "3"))
MINUTES = float(os.environ.get("VOICED_KILL_MINUTES", "0.75"))
SEED = int(os.environ.get("VOICED_KILL_SEED", "20261121"))

PATIENCE_S = CEILING_S + 120 * MINUTES

SENTENCES = (
    "stop",
    "what time is it",
    "turn on the living room lamp",
    "please would you set a timer for twenty five minutes",
)
"""Of different lengths, since that is what the model hears."""

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

OVER = ("completed", "failed", "cancelled")
ENGINE = {
    "VOICED_STT__ENGINE": "whisper",
    "VOICED_STT__COMPUTE_TYPE": "float32",
    "VOICED_STT__THREADS": "1",
    "VOICED_JOBS__TRIES": "20",
}
"""Whisper on a model that hears how long sound lasts, and makes the same of the same samples
whatever it heard before, which pocketsphinx does not to the last digit."""


def make_recording(folder: Path) -> bytes:
    """Somebody who gives commands for so many minutes, with pauses of different lengths."""
    parts = [np.frombuffer(make_speech(folder, sentence), dtype=np.int16) for sentence in SENTENCES]
    moments = random.Random(SEED)
    recording: list[np.ndarray[Any, np.dtype[np.int16]]] = []
    while sum(map(len, recording)) < MINUTES * 60 * WIRE_HZ:
        recording.append(moments.choice(parts))
        recording.append(np.zeros(round(WIRE_HZ * moments.uniform(0.4, 2.0)), dtype=np.int16))
    return encode_wav(np.concatenate(recording).tobytes(), WIRE_HZ)


@contextmanager
def client_of(running: Daemon) -> Iterator[httpx2.Client]:
    base = f"http://127.0.0.1:{running.port}"
    with httpx2.Client(base_url=base, timeout=CEILING_S, trust_env=False) as client:
        yield client


def hand_in(client: httpx2.Client, recording: bytes) -> str:
    answer = client.post(
        "/v1/jobs", data={"type": "transcription"}, files={"file": ("talk.wav", recording)}
    )
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def wait_for(
    client: httpx2.Client, job_id: str, until: float, more_than: float = math.inf
) -> dict[str, Any]:
    """The job once it is over, has more frames than that, or at that moment of `monotonic`."""
    while True:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
        left = until - time.monotonic()
        if job["status"] in OVER or len(job["frames"]) > more_than or left <= 0:
            return job
        time.sleep(min(0.05, left))


def finish(client: httpx2.Client, job_id: str) -> tuple[list[Any], bytes]:
    """What came of a job, its frames and its file, once it is completed."""
    job = wait_for(client, job_id, time.monotonic() + PATIENCE_S)
    assert job["status"] == "completed", job
    result = client.get(f"/v1/jobs/{job_id}/result")
    assert result.status_code == 200
    return job["frames"], result.content


def test_a_transcription_survives_kills_at_random_moments(tmp_path: Path) -> None:
    recording = make_recording(tmp_path)
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for place in (calm, wild):
        write_listener(place / "state" / "models" / "listener", Listener(words=WORDS, level=0.0))
    with daemon(calm, **ENGINE) as running, client_of(running) as client:
        began = time.monotonic()
        expected = finish(client, hand_in(client, recording))
        took_s = time.monotonic() - began
    assert len({frame["text"] for frame in expected[0]}) > 2  # there is something to lose
    total = len(expected[0])
    moments = random.Random(SEED)
    job_id = ""
    kills = seen = 0
    while kills < KILLS:
        with daemon(wild, **ENGINE) as running, client_of(running) as client:
            job_id = job_id or hand_in(client, recording)
            if moments.random() < 0.75:  # else while the work is only being taken up again
                step = moments.uniform(0, 1.5 * (total - seen) / (KILLS - kills))
                wait_for(client, job_id, time.monotonic() + PATIENCE_S, seen + int(step))
            delay_s = moments.uniform(0, 1.5 * took_s / total)  # anywhere within a segment
            job = wait_for(client, job_id, time.monotonic() + delay_s)
            assert len(job["frames"]) >= seen  # nothing that was there is lost
            seen = len(job["frames"])
            if job["status"] in OVER:
                break
            running.process.kill()
            running.process.wait()
            kills += 1
    with daemon(wild, **ENGINE) as running, client_of(running) as client:
        found = finish(client, job_id)
    print(
        f"{kills} kills in {MINUTES:g} minutes, {len(found[0])} frames, {took_s:.1f} s undisturbed"
    )
    assert kills >= min(KILLS, 2)
    assert found == expected
