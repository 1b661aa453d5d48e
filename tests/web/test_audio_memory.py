"""A long recording through a live daemon, which holds neither the upload nor the sound."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import psutil

from tests.patience import CEILING_S
from tests.realtime.live import daemon
from voiced.audio.files import read_pcm16
from voiced.media.wav import wav_head
from voiced.testing.stubs import TRANSCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE_HZ = 48_000
SENTENCES = 200
SENTENCE_S = 3
BOUNDARY = "frontier"

GROWTH_MB = 25.0
"""Far below the 58 MB of the file, and the 19 MB of its sound beside the megabytes that may be
under way at once: two bodies of HTTP, a write to disk, a stretch of sound."""


class Peaks:
    """The most memory that the daemon and its decoder have used, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.before_mb = self._mb(self._process)
        self.daemon_mb = self.before_mb
        self.decoder_mb = 0.0

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            self.daemon_mb = max(self.daemon_mb, self._mb(self._process))
            for child in self._process.children():
                try:
                    if child.name() == "voiced-decode":
                        self.decoder_mb = max(self.decoder_mb, self._mb(child))
                except psutil.NoSuchProcess:
                    continue

    def _mb(self, process: psutil.Process) -> float:
        return float(process.memory_info().rss) / 1e6


def sentence(folder: Path) -> bytes:
    """A short sentence and silence, `SENTENCE_S` long, as PCM16 mono."""
    path = folder / "one.wav"
    command = [sys.executable, "-m", "voiced", "say", "good morning", "--out", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=CEILING_S)
    said = np.frombuffer(read_pcm16(path, RATE_HZ), "<i2")
    whole = np.zeros(SENTENCE_S * RATE_HZ, np.int16)
    whole[: len(said)] = said
    return whole.tobytes()


def test_ten_minutes_take_no_more_memory_than_a_moment(tmp_path: Path) -> None:
    once = sentence(tmp_path)
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="response_format"\r\n\r\n'
        f"verbose_json\r\n--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="long.wav"\r\n\r\n'
    ).encode() + wav_head(RATE_HZ)
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    length = len(head) + SENTENCES * len(once) + len(tail)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(SENTENCES):
            yield once
        yield tail

    with daemon(tmp_path) as running:
        with Peaks(running.process.pid) as peaks:
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=CEILING_S)
            headers = {
                "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                "Content-Length": str(length),
            }
            connection.request("POST", "/v1/audio/transcriptions", body(), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
        assert response.status == 200, answer
        assert not list((tmp_path / "state" / "tmp").iterdir())
    assert answer["duration"] == SENTENCES * SENTENCE_S == 600
    starts = [segment["start"] for segment in answer["segments"]]
    assert answer["text"] == " ".join([TRANSCRIPT] * SENTENCES)
    # The last is as exactly where it was said as the first.
    assert np.allclose(np.diff(starts), SENTENCE_S, atol=0.15)
    assert abs(starts[-1] - starts[0] - (SENTENCES - 1) * SENTENCE_S) < 0.15
    assert peaks.daemon_mb - peaks.before_mb < GROWTH_MB
    assert 0 < peaks.decoder_mb < 150
