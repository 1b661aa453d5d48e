"""One window of audio, of up to 30 s, to text: on its real length, step by step, guarded."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from voiced.engines.stt.whisper_guards import (
    SILENT,
    find_loop,
    is_invented,
    is_repetitive,
    token_cap,
)
from voiced.engines.stt.whisper_model import (
    FULL_FRAMES,
    HOP,
    POSITIONS,
    RATE,
    window_frames,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voiced.engines.stt.whisper_calls import Caller
    from voiced.engines.stt.whisper_model import WhisperModel

AUTO = ("", "auto")
"""What stands for a language that is to be found out."""

MOST_TOKENS = POSITIONS // 2
"""Whisper gives no more for a window; the other half of its positions is for the prompt."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What was understood of a window."""

    text: str = ""
    language: str = ""
    tokens: tuple[int, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 1.0
    retried: bool = False
    """Whether a guard had it decoded again, on 30 s."""
    looped: bool = False
    """Whether it ends in a loop all the same, with what came after that unheard."""
    encoded: Any = None
    """The encoder's output, for `align`."""

    @property
    def confidence(self) -> float:
        """The mean probability of a token; 0 where nothing was heard."""
        return math.exp(min(self.avg_logprob, 0.0)) if self.text else 0.0


class _Decoded(msgspec.Struct, frozen=True):
    tokens: list[int]
    logprob: float
    no_speech_prob: float
    looped: bool
    capped: bool

    @property
    def avg_logprob(self) -> float:
        """With one more for the end, as Whisper reckons it."""
        return self.logprob / (len(self.tokens) + 1)


class WindowDecoder:
    """Decodes windows for one request; every native call is made through `call`."""

    def __init__(
        self, model: WhisperModel, call: Caller, *, prompt: str = "", full: bool = False
    ) -> None:
        self._model = model
        self._call = call
        self._prompt = prompt
        self._full = full

    def hear(self, samples: NDArray[np.float32], language: str) -> Heard:
        """The text of a window. `language` may be one of `AUTO`.

        Raises `WorkCancelled`.
        """
        if not len(samples) or float(np.abs(samples).max()) < SILENT:
            return Heard(language="" if language in AUTO else language)
        frames = window_frames(len(samples), full=self._full)
        encoded = self._encode(samples, frames)
        if language in AUTO:
            language = self._call(lambda: self._model.detect_language(encoded))
        prompt = self._model.prompt(language, self._prompt)
        cap = token_cap(len(samples) / RATE) if frames < FULL_FRAMES else MOST_TOKENS
        found = self._decode(encoded, prompt, cap)
        retried = frames < FULL_FRAMES and self._is_wrong(found, language)
        if retried:
            encoded = self._encode(samples, FULL_FRAMES)
            found = self._decode(encoded, prompt, MOST_TOKENS)
        return self._judge(found, language, encoded, retried=retried)

    def _encode(self, samples: NDArray[np.float32], frames: int) -> object:
        return self._call(lambda: self._model.encode(samples, frames))

    def _decode(self, encoded: object, prompt: list[int], cap: int) -> _Decoded:
        tokens: list[int] = []
        logprob, no_speech_prob = 0.0, 0.0
        ended = looped = False
        while not ended and not looped and len(tokens) < min(cap, MOST_TOKENS):
            step = self._call(partial(self._model.decode, encoded, prompt, list(tokens)))
            if not tokens:
                no_speech_prob = step.no_speech_prob
            tokens += step.tokens
            logprob += step.logprob
            ended = step.ended or not step.tokens
            looped = find_loop(tokens) is not None
        return _Decoded(tokens, logprob, no_speech_prob, looped, capped=not ended)

    def _is_wrong(self, found: _Decoded, language: str) -> bool:
        if found.looped or found.capped:
            return True
        return is_repetitive(self._model.text(language, found.tokens))

    def _judge(self, found: _Decoded, language: str, encoded: object, *, retried: bool) -> Heard:
        tokens = found.tokens
        if found.looped:
            tokens = tokens[: find_loop(tokens)]
        text = self._model.text(language, tokens).strip()
        invented = is_invented(found.no_speech_prob, found.avg_logprob)
        if invented:
            text, tokens = "", []
        return Heard(
            text=text,
            language=language,
            tokens=tuple(tokens),
            avg_logprob=found.avg_logprob,
            no_speech_prob=found.no_speech_prob,
            retried=retried,
            looped=found.looped and not invented,
            encoded=encoded,
        )

    def words(self, heard: Heard) -> list[str]:
        """The text cut into words, each with the space before it."""
        return self._model.words(heard.language, heard.tokens)

    def word_times(self, heard: Heard, samples: int) -> list[tuple[str, float, float]]:
        """`(word, start, end)`, words with the space before them, times in seconds of the window,
        of which `samples` are sound.

        They may be more than the window was decoded on, where only quiet came after that; the
        library goes no further than its own output.
        """
        frames = -(-samples // HOP)
        found = self._call(
            lambda: self._model.align(heard.encoded, heard.language, heard.tokens, frames)
        )
        return [timed for timed in found if timed[0].strip()]
