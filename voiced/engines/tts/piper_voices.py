"""The voices of Piper on this machine: found as files, loaded when wanted, within a budget.

A voice is two files, `NAME.onnx` and `NAME.onnx.json`, as Piper publishes them. Reading the
small one is cheap and done for all; the model of a voice is loaded at its first use and let go
when another one needs the room.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from piper.config import PhonemeType, PiperConfig
from piper.voice import PiperVoice

from voiced.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIX = ".onnx"

MEMORY_FACTOR = 2.0
"""What a loaded voice is reckoned to take, in sizes of its file: its weights once, and as much
again to work in. An allowance, not a measurement."""

QUIETER = 0.98
"""By how much the level that a voice is scaled by falls from one run to the next: a single loud
clause does not keep the ones after it quiet for good."""

FULL_SCALE = 0.95 * 32767.0
SILENT = 1e-4
"""A peak below this is silence, and not scaled up."""

INPUTS = ("input", "input_lengths", "scales")
PHONEMES = (PhonemeType.ESPEAK, PhonemeType.TEXT)
"""The ways to phonemes that come with piper-tts; the others fetch models of their own."""


class VoiceFile:
    """One voice that could be loaded: where it is, and what its JSON says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name.removesuffix(SUFFIX)
        self.config = read_config(path)
        try:
            self.bytes = path.stat().st_size
        except OSError as exc:
            raise ModelError(f"cannot read the Piper voice {path}: {exc.strerror}") from exc

    @property
    def memory_bytes(self) -> int:
        """What it will take once loaded, about."""
        return int(self.bytes * MEMORY_FACTOR)

    @property
    def names(self) -> tuple[str, ...]:
        """How the voice and its speakers are called: `NAME`, `NAME+SPEAKER`."""
        return (self.name, *(f"{self.name}+{speaker}" for speaker in self.config.speaker_id_map))


class LoadedVoice:
    """A voice ready to speak: phonemes by piper-tts, the network in a session of our own."""

    def __init__(self, file: VoiceFile, threads: int) -> None:
        self.file = file
        self._session = open_session(file, threads)
        self._piper = PiperVoice(session=self._session, config=file.config)
        self._peak = 0.0

    @property
    def sample_rate(self) -> int:
        """Of its audio, in hertz."""
        return self.file.config.sample_rate

    def sentences(self, text: str) -> list[list[int]]:
        """`text` as the ids of its phonemes, sentence by sentence. Text is text: the marks by
        which Piper takes raw phonemes have no meaning."""
        spoken = text.replace("[[", "[ [")
        found = self._piper.phonemize(spoken)
        return [self._piper.phonemes_to_ids(phonemes) for phonemes in found if phonemes]

    def speak(
        self, ids: list[int], *, speed: float, speaker: int | None, run: onnxruntime.RunOptions
    ) -> NDArray[np.int16]:
        """One sentence as samples. Setting `run.terminate` on another thread makes it raise."""
        config = self.file.config
        feeds: dict[str, Any] = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array(
                [config.noise_scale, config.length_scale / speed, config.noise_w_scale],
                dtype=np.float32,
            ),
        }
        if config.num_speakers > 1:
            chosen = config.default_speaker_id if speaker is None else speaker
            feeds["sid"] = np.array([chosen], dtype=np.int64)
        audio = self._session.run(None, feeds, run)[0].reshape(-1)
        return self._to_pcm(audio)

    def _to_pcm(self, audio: NDArray[np.float32]) -> NDArray[np.int16]:
        """Scaled so that the voice is as loud as it can be and all of its clauses are alike."""
        peak = float(np.abs(audio).max(initial=0.0))
        self._peak = max(peak, self._peak * QUIETER)
        if peak < SILENT:
            return np.zeros(len(audio), dtype=np.int16)
        return (audio * (FULL_SCALE / self._peak)).astype(np.int16)


class VoiceShelf:
    """All voices of a directory, and those of them that are loaded, newest use last."""

    def __init__(self, directory: Path, *, threads: int, memory_bytes: int) -> None:
        self._directory = directory
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._loaded: dict[str, LoadedVoice] = {}
        self._files: dict[str, VoiceFile] = {}
        self.faults: list[str] = []

    def find(self) -> None:
        """Look for voices. One whose JSON cannot be read is left out and named in `faults`."""
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                self.add(VoiceFile(path))
            except ModelError as exc:
                self.faults.append(str(exc))

    def add(self, file: VoiceFile) -> None:
        """Know one more voice."""
        self._files[file.name] = file

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that a voice may be asked for by."""
        return tuple(name for file in self._files.values() for name in file.names)

    def speaker(self, name: str) -> tuple[str, int | None] | None:
        """The voice's name and the speaker's number behind `NAME` or `NAME+SPEAKER`."""
        voice, plus, speaker = name.partition("+")
        file = self._files.get(voice)
        if file is None or (plus and speaker not in file.config.speaker_id_map):
            return None
        return voice, file.config.speaker_id_map[speaker] if plus else None

    def take(self, name: str) -> LoadedVoice:
        """The voice of that name, loaded; others go where it needs their room.

        Raises `ModelError` for one that is damaged, or too large for the budget by itself.
        """
        voice = self._loaded.pop(name, None)
        if voice is None:
            file = self._files[name]
            self._make_room(file)
            voice = LoadedVoice(file, self._threads)
        self._loaded[name] = voice
        return voice

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the voices in memory, the one used last at the end."""
        return tuple(self._loaded)

    def _make_room(self, file: VoiceFile) -> None:
        if file.memory_bytes > self._memory_bytes:
            raise ModelError(
                f"the Piper voice {file.path} needs about {(file.memory_bytes >> 20) + 1} MiB, and "
                f"tts.options.memory_mb allows {self._memory_bytes >> 20}"
            )
        while self._loaded and self._used_bytes + file.memory_bytes > self._memory_bytes:
            del self._loaded[next(iter(self._loaded))]

    @property
    def _used_bytes(self) -> int:
        return sum(voice.file.memory_bytes for voice in self._loaded.values())


def read_config(path: Path) -> PiperConfig:
    """What the JSON beside a voice says. Raises `ModelError` naming file and cause."""
    described = path.with_name(path.name + ".json")
    try:
        config = PiperConfig.from_dict(json.loads(described.read_text("utf-8")))
    except FileNotFoundError as exc:
        raise ModelError(
            f"the Piper voice {path} has no {described.name} beside it; download both files"
        ) from exc
    except OSError as exc:
        raise ModelError(f"cannot read {described}: {exc.strerror}") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(f"{described} does not describe a Piper voice: {exc!r}") from exc
    if config.phoneme_type not in PHONEMES:
        raise ModelError(
            f"the Piper voice {path} is written in {config.phoneme_type.value}, for which "
            "piper-tts needs a model of its own; use a voice of type espeak"
        )
    return config


def open_session(file: VoiceFile, threads: int) -> onnxruntime.InferenceSession:
    """The network of a voice. Raises `ModelError` naming file and cause."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between two sentences would take a core from the other engines.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Sentences differ in length: a pattern would be planned for each and never met again.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(file.path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as exc:  # onnxruntime has an error class of its own for each status
        cause = str(exc).splitlines()[0]
        raise ModelError(
            f"cannot load the Piper voice {file.path}: {cause}; download it again"
        ) from exc
    names = {entry.name for entry in session.get_inputs()}
    wanted = {*INPUTS, "sid"} if file.config.num_speakers > 1 else {*INPUTS}
    if names != wanted:
        raise ModelError(
            f"{file.path} is no Piper voice, or not the one that its JSON describes: its inputs "
            f"are {', '.join(sorted(names))}"
        )
    return session
