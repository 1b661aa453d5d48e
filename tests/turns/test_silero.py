"""The real Silero model: batches, state, and what it takes for speech."""

from __future__ import annotations

import numpy as np
import pytest

from voiced.errors import ModelError
from voiced.turns.silero import CHUNK, SileroState, SileroVad


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad.load()


def test_a_batch_gives_what_chunk_by_chunk_gives(vad: SileroVad) -> None:
    noise = np.random.default_rng(7).normal(0, 0.1, 24 * CHUNK).astype(np.float32)
    together, single = SileroState(), SileroState()
    batched: list[float] = []
    for start, stop in ((0, 1), (1, 9), (9, 24)):
        batched += vad.probabilities(together, noise[start * CHUNK : stop * CHUNK])
    one_by_one = [
        vad.probabilities(single, noise[i * CHUNK : (i + 1) * CHUNK])[0] for i in range(24)
    ]
    assert batched == pytest.approx(one_by_one, abs=1e-5)


def test_state_matters_and_reset_forgets_it(vad: SileroVad) -> None:
    noise = np.random.default_rng(7).normal(0, 0.3, 8 * CHUNK).astype(np.float32)
    state = SileroState()
    fresh = vad.probabilities(state, noise)
    assert vad.probabilities(state, noise) != pytest.approx(fresh, abs=1e-5)
    state.reset()
    assert vad.probabilities(state, noise) == pytest.approx(fresh, abs=1e-6)


def test_silence_is_not_speech(vad: SileroVad) -> None:
    assert max(vad.probabilities(SileroState(), np.zeros(20 * CHUNK, np.float32))) < 0.1


def test_an_installation_without_the_model_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="reinstall faster-whisper"):
        SileroVad.load()
