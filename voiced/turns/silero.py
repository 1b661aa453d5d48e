"""Silero voice activity detection, run in the daemon itself with its state kept per stream.

The model file ships inside faster-whisper and is found without importing that package. One
run takes about 50 us for a chunk of 32 ms on x86-64, less than a round trip to another
process; `voiced bench sessions` shows what that means for the loop.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from voiced.audio.pcm import SPEECH_CHUNK
from voiced.errors import ModelError
from voiced.telemetry.distribution import Distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = SPEECH_CHUNK
CONTEXT = 64

BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05)
"""From one chunk on a fast machine to a pile of them on a busy small one."""

NOTHING_HEARD = np.zeros((1, 1, 128), np.float32)
NO_CONTEXT = np.zeros(CONTEXT, np.float32)
NOTHING_HEARD.flags.writeable = NO_CONTEXT.flags.writeable = False


class SileroState:
    """What the model remembers of one stream: LSTM state and the last 64 samples."""

    __slots__ = ("c", "context", "h")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Back to the silence before the first sample."""
        # Replaced by what the model returns, and never written to: one for all streams.
        self.h = self.c = NOTHING_HEARD
        self.context = NO_CONTEXT

    def to_bytes(self) -> bytes:
        """The state, to be kept: float32, in the byte order of the machine."""
        return b"".join(part.tobytes() for part in (self.h, self.c, self.context))

    def restore(self, data: bytes) -> None:
        """Take up a state that `to_bytes` gave. Raises `ValueError` where it is none."""
        values = np.frombuffer(data, np.float32)
        if len(values) != 2 * NOTHING_HEARD.size + CONTEXT:
            raise ValueError("this is no state of Silero's")
        h, c, self.context = np.split(values, (NOTHING_HEARD.size, 2 * NOTHING_HEARD.size))
        self.h, self.c = h.reshape(NOTHING_HEARD.shape), c.reshape(NOTHING_HEARD.shape)


class SileroVad:
    """The model, shared by all streams. `load()` once; raises `ModelError`."""

    def __init__(
        self, session: onnxruntime.InferenceSession, model: str = "", version: str = ""
    ) -> None:
        """`model` is the name of its file, `version` that of the package it came in."""
        self._session = session
        self.model = model
        self.version = version
        self.timings = Distribution(BOUNDS_S)
        """Of each run of the model, for all the chunks that had come together."""

    @classmethod
    def load(cls) -> SileroVad:
        """Open the model that ships with faster-whisper and run it once."""
        path = find_model()
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # onnxruntime raises its own unrelated classes
            raise ModelError(f"The Silero model {path} cannot be loaded: {exc}") from exc
        vad = cls(session, path.stem, version("faster-whisper"))
        vad.probabilities(SileroState(), np.zeros(CHUNK, np.float32))
        vad.timings = Distribution(BOUNDS_S)  # the first run is slower than all others
        return vad

    def probabilities(self, state: SileroState, samples: NDArray[np.float32]) -> list[float]:
        """Probability of speech for each whole chunk of 512 samples at 16 kHz in -1..1.

        `samples` has shape (n * 512,) and continues the stream of `state`.
        """
        count = len(samples) // CHUNK
        rows = np.empty((count, CONTEXT + CHUNK), np.float32)
        rows[:, CONTEXT:] = samples.reshape(count, CHUNK)
        rows[0, :CONTEXT] = state.context
        rows[1:, :CONTEXT] = rows[:-1, -CONTEXT:]
        state.context = rows[-1, -CONTEXT:].copy()
        began = perf_counter()
        found, state.h, state.c = self._session.run(
            None, {"input": rows, "h": state.h, "c": state.c}
        )
        self.timings.add(perf_counter() - began)
        probabilities: list[float] = found.reshape(-1).tolist()
        return probabilities


class SileroStream:
    """One stream and the model that listens to it: a `voiced.media.stretches.Listener`."""

    def __init__(self, vad: SileroVad) -> None:
        self._vad = vad
        self._state = SileroState()

    def hear(self, samples: NDArray[np.float32]) -> list[float]:
        """See `SileroVad.probabilities`."""
        return self._vad.probabilities(self._state, samples)

    def to_bytes(self) -> bytes:
        """See `SileroState.to_bytes`."""
        return self._state.to_bytes()

    def restore(self, data: bytes) -> None:
        """See `SileroState.restore`."""
        self._state.restore(data)


def find_model() -> Path:
    """The Silero file inside the installed faster-whisper; raise `ModelError` without it."""
    spec = importlib.util.find_spec("faster_whisper")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder, "assets").glob("silero_vad*.onnx"), reverse=True):
            return path
    raise ModelError(
        "No Silero model found: reinstall faster-whisper, which carries silero_vad_v6.onnx."
    )
