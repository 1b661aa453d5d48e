"""A Whisper model on disk, opened: features, encoder, decoder, alignment.

The pieces are faster-whisper's and CTranslate2's own; `WhisperModel.transcribe`, which pads all
audio to 30 s, cannot be stopped and may fetch files, is not used. Neither is the package
imported: its `__init__` brings decoders of audio and a download client, some 20 MB.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import msgspec
import numpy as np

from voiced.engines.memory import free_memory
from voiced.engines.stt.whisper_file import (
    MODEL,
    find_file,
    read_abilities,
    read_tokenizer,
)
from voiced.errors import ModelError
from voiced.models.ctranslate2 import read_model_file
from voiced.models.need import whisper_need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

RATE = 16_000
HOP = 160
"""Samples of a frame of features: 10 ms."""
FULL_FRAMES = 3000
"""What Whisper was trained on: 30 s."""
FULL_SAMPLES = FULL_FRAMES * HOP
POSITIONS = 448
MOST_PROMPT = POSITIONS // 2 - 1
"""Tokens of a prompt: Whisper leaves half of its positions to the text."""

PAD_FRAMES = 100
LEAST_FRAMES = 300
"""Silence added to a short window, and its least length. Stock weights expect silence behind
speech and never saw a window that ends with a word."""

STEP = 32
"""Tokens of the first call of the decoder, which cannot be stopped: some ten seconds of speech.

The library goes through tokens given to it anew one by one, so that a call costs what all tokens
up to its end cost, and steps of 8 take 32 tokens three times as long as one call does. Later
calls double what was said, which bounds that by two.
"""


class Step(msgspec.Struct, frozen=True):
    """What one call of the decoder gave anew; `logprob` is the sum over `tokens`."""

    tokens: list[int]
    logprob: float
    ended: bool
    no_speech_prob: float


def window_frames(samples: int, *, full: bool) -> int:
    """The frames that the encoder is given for so many samples: an even number."""
    frames = -(-samples // HOP) + PAD_FRAMES
    return FULL_FRAMES if full else min(max(frames + frames % 2, LEAST_FRAMES), FULL_FRAMES)


class WhisperModel:
    """One model in memory. Its methods block, and any thread may call them; CTranslate2 lets go
    of the interpreter meanwhile."""

    def __init__(self, folder: Path, *, threads: int, compute_type: str) -> None:
        """Raises `ModelError` naming file, cause and remedy."""
        path = find_file(folder)
        file = read_model_file(path)
        if file.kind != "WhisperSpec":
            raise ModelError(
                f"{path} is a CTranslate2 model of another kind ({file.kind}), not Whisper"
            )
        whisper_need(path, file.bytes).check(free_memory())
        self.name = folder.name
        self._hf = read_tokenizer(folder, file.shapes["decoder/embeddings/weight"][0])
        self.abilities = read_abilities(folder)
        self._model = _load(folder, threads, compute_type)
        faster_whisper = _submodules("feature_extractor", "tokenizer")
        self.multilingual: bool = self._model.is_multilingual
        self._extractor = faster_whisper[0].FeatureExtractor(feature_size=self._model.n_mels)
        self._tokenizer_class = faster_whisper[1].Tokenizer
        self.languages = self._find_languages(faster_whisper[1]._LANGUAGE_CODES)
        self._tokenizers: dict[str, Any] = {}
        self.eot: int = self.tokenizer(self.languages[0]).eot

    def _find_languages(self, codes: Sequence[str]) -> tuple[str, ...]:
        if not self.multilingual:
            return ("en",)
        known = tuple(code for code in codes if self._hf.token_to_id(f"<|{code}|>") is not None)
        if not known:
            raise ModelError(f"the tokenizer of {self.name} knows no language; copy it again")
        return known

    @property
    def finds_language(self) -> bool:
        """Whether a request need not name its language."""
        return self.abilities.detects or not self.multilingual

    def tokenizer(self, language: str) -> Any:  # noqa: ANN401  # untyped library
        """faster-whisper's tokenizer for one of `languages`."""
        if language not in self._tokenizers:
            self._tokenizers[language] = self._tokenizer_class(
                self._hf, self.multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]

    def encode(self, samples: NDArray[np.float32], frames: int) -> Any:  # noqa: ANN401
        """The encoder's output for a window of so many frames, filled up with silence.

        Silence is added before the features are made, as in training.
        """
        window = np.zeros(frames * HOP, np.float32)
        window[: len(samples)] = samples[: len(window)]
        features = np.ascontiguousarray(self._extractor(window, padding=0)[None])
        # Frames by two may not equal the number of bands: the library would take its own output
        # for features. `LEAST_FRAMES` is above that.
        assert frames // 2 != features.shape[1]
        return self._model.encode(ctranslate2.StorageView.from_array(features))

    def prompt(self, language: str, text: str) -> list[int]:
        """What the decoder is started with: what was said before, and the task."""
        tokenizer = self.tokenizer(language)
        start = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        if not (text := text.strip()):
            return start
        # The library reads "<|en|>" in a text as the token, which would start the task anew.
        words = [token for token in tokenizer.encode(" " + text) if token < self.eot]
        return [tokenizer.sot_prev, *words[-MOST_PROMPT:], *start]

    def decode(self, encoded: object, prompt: Sequence[int], said: Sequence[int]) -> Step:
        """The next tokens behind `prompt` and what was `said` so far, the likeliest ones."""
        most = len(said) + max(STEP, len(said))
        # All tokens are bounded by half of `max_length`, and by what the prompt leaves of it.
        (result,) = self._model.generate(
            encoded,
            [[*prompt, *said]],
            beam_size=1,
            max_length=min(max(2 * most, len(prompt) - 1 + most), POSITIONS),
            length_penalty=0,  # the score is the sum then, of the new ones
            return_scores=True,
            return_no_speech_prob=not said,
            suppress_blank=not said,
        )
        tokens = list(result.sequences_ids[0])
        ended = len(tokens) < min(most, POSITIONS // 2)
        return Step(tokens[len(said) :], result.scores[0], ended, result.no_speech_prob)

    def detect_language(self, encoded: object) -> str:
        """The likeliest language; one run of the decoder, none of the encoder."""
        found: str = self._model.detect_language(encoded)[0][0][0][2:-2]
        return found if found in self.languages else self.languages[0]

    def text(self, language: str, tokens: Sequence[int]) -> str:
        """The words of `tokens`, without what is no text."""
        decoded: str = self.tokenizer(language).decode(list(tokens))
        return decoded

    def words(self, language: str, tokens: Sequence[int]) -> list[str]:
        """The same cut into words, each with the space before it."""
        text = [token for token in tokens if token < self.eot]
        found, parts = self.tokenizer(language).split_to_word_tokens(text)
        places = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        return [word for word, _, _ in join_marks(found, places)]

    def align(
        self, encoded: object, language: str, tokens: Sequence[int], frames: int
    ) -> list[tuple[str, float, float]]:
        """`(word, start, end)`, in seconds from the start of the window.

        `frames` are those that hold sound. After faster-whisper's `find_alignment`.
        """
        tokenizer = self.tokenizer(language)
        text = [token for token in tokens if token < self.eot]
        if not text:
            return []
        (found,) = self._model.align(encoded, tokenizer.sot_sequence, [text], frames)
        words, parts = tokenizer.split_to_word_tokens([*text, self.eot])
        places = np.array(found.alignments)
        first = np.concatenate(([True], np.diff(places[:, 0]) > 0))
        times = np.maximum(places[first, 1], 0) * (2 * HOP / RATE)
        bounds = times[np.cumsum([0, *(len(part) for part in parts[:-1])])].tolist()
        return join_marks(words[:-1], bounds)


OPENING = frozenset({"Ps", "Pi", "Po"})
CLOSING = frozenset({"Pe", "Pf", "Po"})
"""Kinds of punctuation by Unicode: of "Po" are the straight quotes, which may be either, and the
marks that end a sentence, which no space goes before."""


def join_marks(words: Sequence[str], bounds: Sequence[float]) -> list[tuple[str, float, float]]:
    """Words with their punctuation, which the tokenizer gives apart.

    `bounds` are one more than the words: where each begins, and the last one ends.
    """
    joined: list[tuple[str, float, float]] = []
    waiting = ""
    begin = 0.0
    for word, start, end in zip(words, bounds, bounds[1:], strict=False):
        mark = word.strip()
        if not waiting:
            begin = start
        kinds = {unicodedata.category(character) for character in mark}
        if kinds and kinds <= OPENING and (word.startswith(" ") or kinds <= {"Ps", "Pi"}):
            waiting += word
        elif kinds and kinds <= CLOSING and joined and not waiting:
            last, since, until = joined[-1]  # a mark is the pause behind the word
            joined[-1] = (last + word, since, until)
        else:
            joined.append((waiting + (mark if waiting else word), begin, end))
            waiting = ""
    return [*joined, (waiting, begin, bounds[-1])] if waiting else joined


def _load(folder: Path, threads: int, compute_type: str) -> ctranslate2.models.Whisper:
    try:
        return ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type=compute_type, intra_threads=threads
        )
    except MemoryError as exc:
        raise ModelError(
            f"{folder / MODEL} does not fit into memory; take a smaller model, such as tiny or base"
        ) from exc
    except (RuntimeError, ValueError) as exc:
        cause = " ".join(str(exc).split()) or type(exc).__name__
        raise ModelError(f"cannot load the Whisper model {folder}: {cause}") from exc


def _submodules(*names: str) -> list[ModuleType]:
    """Modules of faster-whisper, without the package around them."""
    package = importlib.util.find_spec("faster_whisper")
    folders = (package and package.submodule_search_locations) or []
    modules = []
    for name in names:
        path = next((Path(f, f"{name}.py") for f in folders if Path(f, f"{name}.py").is_file()), "")
        spec = importlib.util.spec_from_file_location(f"_faster_whisper_{name}", path or os.devnull)
        if not path or spec is None or spec.loader is None:
            raise ModelError(f"faster-whisper lacks its {name}; install voiced again")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        modules.append(module)
    return modules
