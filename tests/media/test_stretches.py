"""Where a recording is cut: at silence where there is some, else where it is quietest."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from voiced.media.stretches import Cutter
from voiced.media.wire import DecodeJob, Stretch
from voiced.turns.detector import CHUNK

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_S = CHUNK / 16_000


def hear_level(samples: NDArray[np.float32]) -> list[float]:
    """In place of Silero: what is loud is speech."""
    return [min(1.0, 4 * float(np.abs(chunk).mean())) for chunk in samples.reshape(-1, CHUNK)]


def sound(*parts: tuple[float, float]) -> bytes:
    """Noise of so many seconds and so loud, one part after the other."""
    random = np.random.default_rng(3)
    return b"".join(
        (random.uniform(-1, 1, round(seconds * 16_000)) * level * 32_767).astype("<i2").tobytes()
        for seconds, level in parts
    )


def cut(pcm: bytes, portion: int = 7_001, **job: object) -> list[Stretch]:
    cutter = Cutter(DecodeJob(max_s=1e6, acoustic_end=False, **job), hear_level)  # type: ignore[arg-type]
    found: list[Stretch] = []
    for start in range(0, len(pcm), portion * 2):
        found += cutter.push(pcm[start : start + portion * 2])
    found += cutter.finish()
    for one in found:
        assert len(one.pcm) == round((one.end_s - one.start_s) * 16_000) * 2
        assert one.start_s <= one.speech_start_s <= one.speech_end_s <= one.end_s
        first = round(one.start_s * 16_000) * 2
        assert pcm[first : first + len(one.pcm)] == one.pcm[: len(pcm) - first]
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s
    return found


def test_speech_is_found_where_it_is() -> None:
    pcm = sound((1.0, 0.0), (2.0, 0.9), (1.0, 0.0), (1.5, 0.9), (1.0, 0.0))
    first, second = cut(pcm)
    assert first.speech_start_s == pytest.approx(1.0, abs=2 * CHUNK_S)
    assert first.speech_end_s == pytest.approx(3.0, abs=2 * CHUNK_S)
    assert first.start_s == pytest.approx(0.7, abs=2 * CHUNK_S)
    assert second.speech_start_s == pytest.approx(4.0, abs=2 * CHUNK_S)
    assert second.speech_end_s == pytest.approx(5.5, abs=2 * CHUNK_S)
    assert first.speech_prob > 0.9


def test_portions_make_no_difference() -> None:
    pcm = sound((0.4, 0.0), (2.0, 0.9), (0.5, 0.0), (40.0, 0.9), (3.0, 0.0))
    assert cut(pcm, 997) == cut(pcm, len(pcm))


def test_pause_shorter_than_the_silence_does_not_cut() -> None:
    pcm = sound((1.0, 0.9), (0.4, 0.0), (1.0, 0.9), (1.0, 0.0))
    assert len(cut(pcm, silence_ms=700)) == 1
    assert len(cut(pcm, silence_ms=200)) == 2


def test_speech_without_end_is_cut_where_it_is_quietest() -> None:
    pcm = sound((24.0, 0.9), (0.1, 0.3), (36.0, 0.9))
    first, second, *_ = cut(pcm, silence_ms=200)
    assert first.end_s == pytest.approx(24.1, abs=2 * CHUNK_S)
    assert second.start_s == first.end_s
    lengths = [one.end_s - one.start_s for one in cut(sound((200.0, 0.9)))]
    assert max(lengths) <= 30.0
    assert sum(lengths) == pytest.approx(200.0, abs=0.1), "nothing may be lost"


def test_speech_at_the_very_end_is_kept() -> None:
    (only,) = cut(sound((1.0, 0.0), (1.003, 0.9)))
    assert only.speech_end_s == pytest.approx(2.003, abs=0.001)


def test_silence_is_no_speech_unless_all_is_wanted() -> None:
    pcm = sound((65.0, 0.0))
    assert cut(pcm) == []
    assert sum(one.end_s - one.start_s for one in cut(pcm, whole=True)) == pytest.approx(65.0)
    assert cut(b"") == cut(b"", whole=True) == []


def test_hours_of_silence_take_no_memory() -> None:
    cutter = Cutter(DecodeJob(max_s=1e6), lambda samples: [0.0] * (len(samples) // CHUNK))
    for _ in range(600):
        assert not list(cutter.push(bytes(32_000)))
        assert len(cutter._kept) + len(cutter._pending) < 4 * 32_000
