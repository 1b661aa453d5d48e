"""One voice of Piper: its two files, `NAME.onnx` and `NAME.onnx.json`, and how it speaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from piper.config import PhonemeType, PiperConfig
from piper.voice import PiperVoice

from voiced.errors import ModelError
from voiced.models.need import voice_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIX = ".onnx"

QUIETER = 0.98
"""By how much the level that a voice is scaled by falls from one run to the next: a single loud
clause does not keep the ones after it quiet for good."""

FULL_SCALE = 0.95 * 32767.0
SILENT = 1e-4
"""A peak below this is silence, and not scaled up."""

MOST_PHONEMES = 160
"""In one run, some 12 s of speech. While it lasts, a run takes 16 to 22 MiB for each second of its
sound (measured on the same voice), and a text may be long without a full stop in it."""

PAUSES = frozenset(",;:.!?")

INPUTS = ("input", "input_lengths", "scales")
PHONEMES = (PhonemeType.ESPEAK, PhonemeType.TEXT)
"""The ways to phonemes that come with piper-tts; the others fetch models of their own."""


class VoiceFile:
    """One voice that could be loaded: where it is, and what its JSON says."""

    def __init__(self, path: Path, name: str = "") -> None:
        """`name` is what it is called here, by default as its file."""
        self.path = path
        self.name = name or path.name.removesuffix(SUFFIX)
        try:
            self.bytes = path.stat().st_size
        except FileNotFoundError as exc:
            raise ModelError(
                f"there is no Piper voice {path}; `voiced models list` shows those that there are"
            ) from exc
        except OSError as exc:
            raise ModelError(f"cannot read the Piper voice {path}: {exc.strerror}") from exc
        self.config = read_config(path)

    @property
    def memory_bytes(self) -> int:
        """What it will take once loaded, about, while it does not speak."""
        return voice_bytes(self.bytes)

    @property
    def names(self) -> tuple[str, ...]:
        """How the voice and its speakers are called: `NAME`, `NAME+SPEAKER`."""
        return (self.name, *(f"{self.name}+{speaker}" for speaker in self.config.speaker_id_map))

    def speaker(self, name: str) -> int | None:
        """The number of a speaker, by name, in whatever case, or by that number itself; None
        where there is no such."""
        numbers = {known.lower(): number for known, number in self.config.speaker_id_map.items()}
        if name.lower() in numbers:
            return numbers[name.lower()]
        known = name.isdecimal() and int(name) < self.config.num_speakers
        return int(name) if known else None


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
        if self.file.config.phoneme_type is PhonemeType.TEXT:
            # Its phonemes are letters, often small ones alone; piper-tts leaves out all others.
            known = self.file.config.phoneme_id_map
            spoken = "".join(c if c in known else c.casefold() for c in spoken)
        return [
            self._piper.phonemes_to_ids(part)
            for sentence in self._piper.phonemize(spoken)
            for part in parts_of(sentence)
        ]

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


def parts_of(phonemes: list[str]) -> list[list[str]]:
    """A sentence in runs of `MOST_PHONEMES` at most: cut behind the last pause that fits, else
    between words, else anywhere."""
    parts = []
    rest = phonemes
    while len(rest) > MOST_PHONEMES:
        end = _last(rest, PAUSES) or _last(rest, frozenset(" ")) or MOST_PHONEMES
        parts.append(rest[:end])
        rest = rest[end:]
    return [*parts, rest] if rest else parts


def _last(phonemes: list[str], marks: frozenset[str]) -> int:
    """Behind the last of these marks among the first `MOST_PHONEMES`; 0 where there is none."""
    ends = (end for end in range(MOST_PHONEMES, 0, -1) if phonemes[end - 1] in marks)
    return next(ends, 0)


def read_config(path: Path) -> PiperConfig:
    """What the JSON beside a voice says. Raises `ModelError` naming file and cause."""
    described = path.with_name(path.name + ".json")
    try:
        config = PiperConfig.from_dict(_completed(json.loads(described.read_text("utf-8"))))
    except FileNotFoundError as exc:
        raise ModelError(
            f"the Piper voice {path} has no {described.name} beside it; download both files"
        ) from exc
    except OSError as exc:
        raise ModelError(f"cannot read {described}: {exc.strerror}") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        cause = f"{exc} is missing" if isinstance(exc, KeyError) else str(exc)
        raise ModelError(
            f"{described} does not describe a Piper voice ({cause}); download it again"
        ) from exc
    if config.phoneme_type not in PHONEMES:
        raise ModelError(
            f"the Piper voice {path} is written in {config.phoneme_type.value}, for which "
            "piper-tts needs a model of its own; use a voice of type espeak"
        )
    return config


def _completed(data: dict[str, Any]) -> dict[str, Any]:
    """With what piper-tts insists on and a voice may do without."""
    whole = {"num_symbols": len(data["phoneme_id_map"]), "num_speakers": 1, **data}
    if data.get("phoneme_type") == PhonemeType.TEXT:
        whole = {"espeak": {"voice": (data.get("language") or {}).get("family", "")}, **whole}
    return whole


def new_run() -> onnxruntime.RunOptions:
    """For one run: one that was terminated stays so. Afterwards the memory that it worked in goes
    back; otherwise the longest clause ever spoken would keep its hundreds of MiB. That costs a
    twentieth of the time of a long clause; to do without such an arena costs half as much again."""
    run = onnxruntime.RunOptions()
    run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return run


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
        cause = str(exc).splitlines()[0].rpartition("failed:")[2].rpartition(" : ")[2].rstrip(". ")
        raise ModelError(
            f"the Piper voice {file.path} is damaged, or no ONNX model ({cause}); download it again"
        ) from exc
    names = {entry.name for entry in session.get_inputs()}
    wanted = {*INPUTS, "sid"} if file.config.num_speakers > 1 else {*INPUTS}
    if names != wanted:
        raise ModelError(
            f"{file.path} is no Piper voice, or not the one that its JSON describes: its inputs "
            f"are {', '.join(sorted(names))}"
        )
    return session
