"""Where a recording is cut: at silence where there is some, else where it is quietest."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from voiced.media.stretches import Cutter
from voiced.media.wire import CutPoint, DecodeJob, Stretch
from voiced.turns.detector import CHUNK

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_S = CHUNK / 16_000


class Level:
    """In place of Silero: what is loud is speech. It remembers the last chunk, as Silero does."""

    def __init__(self) -> None:
        self._before = np.float32(0)

    def hear(self, samples: NDArray[np.float32]) -> list[float]:
        heard = []
        for chunk in samples.reshape(-1, CHUNK):
            now = np.float32(min(1.0, 4 * float(np.abs(chunk).mean())))
            heard.append(float(np.float32(0.9) * now + np.float32(0.1) * self._before))
            self._before = now
        return heard

    def to_bytes(self) -> bytes:
        return self._before.tobytes()

    def restore(self, data: bytes) -> None:
        self._before = np.frombuffer(data, np.float32)[0]


def sound(*parts: tuple[float, float]) -> bytes:
    """Noise of so many seconds and so loud, one part after the other."""
    random = np.random.default_rng(3)
    return b"".join(
        (random.uniform(-1, 1, round(seconds * 16_000)) * level * 32_767).astype("<i2").tobytes()
        for seconds, level in parts
    )


def cut(pcm: bytes, portion: int = 7_001, **job: Any) -> list[Stretch]:  # noqa: ANN401  # fields of DecodeJob
    cutter = Cutter(DecodeJob(max_s=1e6, acoustic_end=False, **job), Level())
    found: list[Stretch] = []
    for start in range(0, len(pcm), portion * 2):
        found += cutter.push(pcm[start : start + portion * 2])
    found += cutter.finish()
    check(found, pcm)
    return found


def check(found: list[Stretch], pcm: bytes) -> None:
    for one in found:
        assert len(one.pcm) == round((one.end_s - one.start_s) * 16_000) * 2
        assert one.start_s <= one.speech_start_s <= one.speech_end_s <= one.end_s
        first = round(one.start_s * 16_000) * 2
        assert pcm[first : first + len(one.pcm)] == one.pcm[: len(pcm) - first]
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s


JOBS: dict[str, dict[str, Any]] = {
    "pauses": {},
    "long stretches": {"longest_s": 8.0, "silence_ms": 500},
    "whole": {"whole": True, "longest_s": 11.0},
}


@pytest.mark.parametrize("kind", JOBS)
def test_who_goes_on_behind_any_stretch_cuts_as_who_never_stopped(kind: str) -> None:
    random = np.random.default_rng(5)
    parts = [(random.uniform(0.05, 4.0), random.choice((0.0, 0.004, 0.9))) for _ in range(36)]
    pcm = sound(*parts)
    whole = cut(pcm, **JOBS[kind])
    assert len(whole) > 4
    for number, one in enumerate(whole, 1):
        kept = msgspec.json.decode(msgspec.json.encode(one.after), type=CutPoint)
        assert cut(pcm, 5_003, resume=kept, **JOBS[kind]) == whole[number:]


def test_who_forgets_where_it_stood_cuts_differently() -> None:
    """The control of the test above."""
    pcm = sound((1.0, 0.0), (2.0, 0.9), (4.0, 0.0), (2.3, 0.9), (1.0, 0.0))
    first, second = cut(pcm)
    assert cut(pcm, resume=first.after) == [second]
    nothing_passed = msgspec.structs.replace(first.after, passed=0)
    assert cut(pcm, resume=nothing_passed) == [first, second]


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
    cutter = Cutter(DecodeJob(max_s=1e6), Level())
    for _ in range(600):
        assert not list(cutter.push(bytes(32_000)))
        assert len(cutter._kept) + len(cutter._pending) < 4 * 32_000
