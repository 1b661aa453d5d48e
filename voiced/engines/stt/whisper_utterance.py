"""One utterance of any length, fed while it is spoken: windows settled one by one, partial
transcripts in between, and the result."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.engines.stt.whisper_agreement import Agreement
from voiced.engines.stt.whisper_decoder import AUTO, Heard
from voiced.engines.stt.whisper_windows import (
    RATE,
    SEARCHED,
    WINDOW,
    adds_nothing,
    find_cut,
    to_samples,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from voiced.engines.stt.whisper_decoder import WindowDecoder

LEAST_SPEECH = RATE // 4
"""With less than a quarter of a second there is nothing worth asking the model about."""

LEAST_HALVED = 10 * RATE
"""A shorter window that loops is left at what was heard of it."""

ENDS = (".", "?", "!", "…", "\u3002", "\uff1f", "\uff01")
"""What a sentence ends with; the last three are those of Chinese and Japanese."""
UNSPACED = ("CJK ", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "THAI", "LAO", "MYANMAR")
QUOTES = "\"'\u201d\u2019»)]\u300d\u300f"
"""What may stand behind that."""


class Settled(msgspec.Struct, frozen=True):
    """A window that is over: what was heard in it, where it lies, in samples, and when its words,
    which have the space before them, were said, in seconds of the utterance."""

    heard: Heard
    start: int
    end: int
    words: list[tuple[str, float, float]]


class Utterance:
    """Audio comes by `feed`; `so_far` and `finish` decode. Both raise `WorkCancelled`."""

    def __init__(
        self,
        decoder: WindowDecoder,
        language: str,
        tell: Callable[[Mapping[str, Any]], None],
        *,
        word_times: bool,
        hasty: WindowDecoder | None = None,
    ) -> None:
        """`tell` is given `progress_s` after each window but the last. `hasty` decodes for `so_far`
        and may give that up."""
        self._tell = tell
        self._decoder = decoder
        self._hasty = hasty or decoder
        self._language = language
        self._word_times = word_times
        self._audio = bytearray()  # from the end of the last settled window on
        self._start = 0
        self._settled: list[Settled] = []
        self._agreement = Agreement()
        self._stable = ""
        self._last: tuple[int, Heard] | None = None
        """The newest hypothesis, and how many samples it is of."""

    def feed(self, pcm: bytes) -> None:
        """Add PCM16 mono at 16 kHz. Decodes what fills a window."""
        self._audio += pcm
        while len(self._audio) > 2 * WINDOW:
            samples = to_samples(bytes(self._audio[: 2 * WINDOW]))
            self._settle(samples[: find_cut(samples, WINDOW - SEARCHED, WINDOW)])
            self._tell({"progress_s": self._start / RATE})

    def so_far(self) -> Mapping[str, Any]:
        """A part: `text`, everything heard so far, and `stable`, what of it will not change.

        Raises `GivenUp`: nothing is lost by that.
        """
        samples = self._samples()
        if len(samples) >= LEAST_SPEECH:
            heard = self._hear(samples, self._hasty)
            self._agreement.push(self._decoder.words(heard) if heard.text else [])
        else:
            heard = Heard()
        return {
            "text": join(*(settled.heard.text for settled in self._settled), heard.text),
            "stable": join(self._stable, self._agreement.text),
        }

    def finish(self) -> Mapping[str, Any]:
        """The result."""
        samples = self._samples()
        if len(samples) or not self._settled:
            self._settle(samples)
        return self._result()

    def _samples(self) -> NDArray[np.float32]:
        return to_samples(bytes(self._audio))

    def _hear(self, samples: NDArray[np.float32], decoder: WindowDecoder) -> Heard:
        """Decode the open window, unless only quiet has come since that was done."""
        if self._last is not None:
            done, heard = self._last
            if done and adds_nothing(samples[:done], samples[done:]):
                return heard
        heard = decoder.hear(samples, self._language)
        self._language = heard.language or self._language  # found out once an utterance
        self._last = (len(samples), heard)
        return heard

    def _settle(self, samples: NDArray[np.float32]) -> None:
        """A window is over."""
        whole = len(samples) * 2 >= len(self._audio) - 1
        if whole:
            heard = self._hear(samples, self._decoder)
        else:
            heard = self._decoder.hear(samples, self._language)
        self._language = heard.language or self._language
        words: list[str] = []
        for piece, said in self._pieces(samples, heard):
            self._keep(piece, said)
            words += self._decoder.words(said)
        del self._audio[: 2 * len(samples)]
        self._stable = join(self._stable, self._agreement.settle(words))
        self._agreement = Agreement()
        self._last = None

    def _pieces(
        self, samples: NDArray[np.float32], heard: Heard
    ) -> Iterator[tuple[NDArray[np.float32], Heard]]:
        """The window, or where it ends in a loop its halves: decoding stopped there, and what was
        said after that is lost otherwise. Seldom does a half loop, which begins elsewhere."""
        if not heard.looped or len(samples) < LEAST_HALVED:
            yield samples, heard
            return
        middle = find_cut(samples, len(samples) // 3, len(samples) * 2 // 3)
        for half in (samples[:middle], samples[middle:]):
            yield from self._pieces(half, self._decoder.hear(half, self._language))

    def _keep(self, samples: NDArray[np.float32], heard: Heard) -> None:
        words: list[tuple[str, float, float]] = []
        if self._word_times and heard.text:
            begin = self._start / RATE
            found = self._decoder.word_times(heard, len(samples))
            words = [(word, begin + start, begin + end) for word, start, end in found]
        end = self._start + len(samples)
        self._settled.append(
            Settled(msgspec.structs.replace(heard, encoded=None), self._start, end, words)
        )
        self._start = end

    def _result(self) -> Mapping[str, Any]:
        spoken = [settled for settled in self._settled if settled.heard.text]
        weights = [len(settled.heard.tokens) + 1 for settled in spoken]
        logprob = 0.0
        if spoken:
            sums = (s.heard.avg_logprob * w for s, w in zip(spoken, weights, strict=True))
            logprob = sum(sums) / sum(weights)
        result: dict[str, Any] = {
            "text": join(*(settled.heard.text for settled in spoken)),
            "confidence": math.exp(min(logprob, 0.0)) if spoken else 0.0,
            "duration_s": self._start / RATE,
            "language": "" if self._language in AUTO else self._language,
            "avg_logprob": logprob,
            "no_speech_prob": min(s.heard.no_speech_prob for s in spoken or self._settled),
        }
        if self._word_times:
            result["words"] = [timed(*word) for settled in spoken for word in settled.words]
        # One window is no finer than what was asked about; sentences are.
        if self._word_times or len(self._settled) > 1:
            result["segments"] = [part for settled in spoken for part in segments_of(settled)]
        return result


def segments_of(settled: Settled) -> Iterator[dict[str, Any]]:
    """The sentences of a window where the times of its words are known, or else the window."""
    sure = {
        "avg_logprob": settled.heard.avg_logprob,
        "no_speech_prob": settled.heard.no_speech_prob,
    }
    if not settled.words:
        whole = timed(settled.heard.text, settled.start / RATE, settled.end / RATE)
        yield {**whole, **sure}
    sentence: list[tuple[str, float, float]] = []
    for number, word in enumerate(settled.words, 1):
        sentence.append(word)
        if word[0].rstrip(QUOTES).endswith(ENDS) or number == len(settled.words):
            text = "".join(word for word, _, _ in sentence)
            yield {**timed(text, sentence[0][1], sentence[-1][2]), **sure}
            sentence.clear()


def timed(text: str, start: float, end: float) -> dict[str, Any]:
    """A part of the transcript, as the port has it."""
    return {"start": start, "end": end, "text": text.strip()}


def join(*texts: str) -> str:
    """Texts one after the other, with a space where both are written with spaces."""
    whole = ""
    for text in filter(None, texts):
        spaced = whole and not (_is_unspaced(whole[-1]) or _is_unspaced(text[0]))
        whole += f" {text}" if spaced else text
    return whole


def _is_unspaced(character: str) -> bool:
    """Whether it is of a script that is written without spaces, marks included."""
    return unicodedata.name(character, "").startswith(UNSPACED)
