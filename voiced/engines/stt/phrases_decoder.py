"""pocketsphinx at work on one utterance: a grammar search, and free phones beside it.

The acoustic model wants cepstra without their mean over the utterance, which a stream does not
know yet; a wrong mean costs a third of the sentences. So the stream starts again from the audio
kept so far, with the mean of just that, after 0.5, 1 and 2 s: the words are ready at the end of
speech all the same, since decoding is many times faster than speech.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pocketsphinx

from voiced.engines.stt.phrases_judge import Stretch
from voiced.engines.stt.phrases_noise import with_noise
from voiced.engines.stt.phrases_onset import leading_burst

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.assistant.grammar import Grammar

SAMPLE_RATE = 16_000
_BYTES_A_SECOND = 2 * SAMPLE_RATE
_RESTARTS = tuple(int(seconds * _BYTES_A_SECOND) for seconds in (0.5, 1.0, 2.0))
_STEP_BYTES = 3_200  # 0.1 s: between two steps a cancel is noticed

_GRAMMAR, _MEAN, _PHONES = "grammar", "mean", "phones"
_LANGUAGE_WEIGHT = 4.0
_NATS = 1024.0  # pocketsphinx shifts acoustic scores right by 10 bits
_NO_WORDS = ("", "<sil>", "<s>", "</s>", "(NULL)", "[NOISE]", "[SPEECH]")
_NO_PHONES = ("SIL", "+NSN+", "+SPN+", "+BREATH+", "+COUGH+", "+NOISE+", "+SMACK+", "+UH+", "+UM+")


class Decoder:
    """One utterance at a time: `start`, `feed` while it is spoken, `finish`."""

    def __init__(self, model: Path, dictionary: Path, grammar: Grammar) -> None:
        settings: dict[str, Any] = {
            "hmm": str(model),
            "dict": str(dictionary),
            "lm": None,
            "loglevel": "FATAL",  # its errors are results here: no sentence was found
            # The best path through the lattice is slower, and not better on a grammar.
            "bestpath": False,
        }
        # Wider beams than the defaults: with hundreds of first words the right one falls out.
        self._words = pocketsphinx.Decoder(
            silprob=1.0, beam=1e-60, pbeam=1e-60, wbeam=1e-45, **settings
        )
        self._words.add_fsg(_GRAMMAR, _to_fsg(self._words, grammar))
        # The smallest search there is, to run the front end alone. Not a second search of the
        # decoder of words: that hears far less after a pass over whole audio.
        word = next(iter(grammar.arcs[0]))
        self._mean = pocketsphinx.Decoder(**settings)
        self._mean.add_fsg(_MEAN, self._mean.create_fsg(_MEAN, 0, 1, [(0, 1, 1.0, word)]))
        self._mean.activate_search(_MEAN)
        self._phones = pocketsphinx.Decoder(**settings)
        self._phones.add_allphone_file(_PHONES, None)
        self._phones.activate_search(_PHONES)
        self._words.activate_search(_GRAMMAR)
        self._audio = bytearray()
        self._odd = b""
        self._fed = self._skipped = 0
        self._started = False

    def start(self) -> None:
        """Forget what was before."""
        self._stop()
        self._audio.clear()
        self._odd = b""
        self._fed = self._skipped = 0

    def feed(self, pcm: bytes) -> None:
        """Decode more audio."""
        pcm = self._odd + pcm
        self._odd = pcm[len(pcm) & ~1 :]
        self._audio += with_noise(pcm[: len(pcm) & ~1], len(self._audio) // 2)
        for mark in _RESTARTS:
            if self._fed < mark <= len(self._audio):
                self._restart(mark)
        self._advance(len(self._audio))

    def finish(self) -> tuple[list[Stretch], list[Stretch]]:
        """End the utterance: its words without silences, and its phones, both perhaps none.

        A phone that is no speech has an empty name. The words need not be a whole sentence.
        """
        if self._fed < _RESTARTS[0]:
            self._restart(len(self._audio))
        self._stop()
        return self._found()

    def so_far(self) -> tuple[list[Stretch], list[Stretch]]:
        """Words and phones like those of `finish`, of an utterance that goes on.

        Follows the best path back once, which costs 0.1 ms; nothing is decoded again.
        """
        return self._found() if self._started else ([], [])

    def _found(self) -> tuple[list[Stretch], list[Stretch]]:
        if self._words.hyp() is None:
            return [], []
        words = [stretch for stretch in _stretches(self._words) if stretch.name not in _NO_WORDS]
        phones = [
            Stretch("", one.first, one.last, one.score) if one.name in _NO_PHONES else one
            for one in _stretches(self._phones)
        ]
        return words, phones

    def _restart(self, size: int) -> None:
        """Begin again with the mean of the first `size` bytes, and decode these."""
        self._stop()
        # Once in a place, the burst stays there: what was heard does not change its times.
        self._skipped = self._skipped or leading_burst(bytes(self._audio[:size]))
        head = bytes(self._audio[self._skipped : size])
        if not head:
            return
        self._mean.start_utt()
        self._mean.process_raw(head, False, True)
        self._mean.end_utt()
        mean = self._mean.get_cmn(False)
        for decoder in (self._words, self._phones):
            decoder.set_cmn(mean)
            decoder.start_utt()
        self._started = True
        self._fed = self._skipped
        self._advance(size)

    def _advance(self, size: int) -> None:
        while self._started and self._fed < size:
            step = bytes(self._audio[self._fed : min(self._fed + _STEP_BYTES, size)])
            self._words.process_raw(step, False, False)
            self._phones.process_raw(step, False, False)
            self._fed += len(step)

    def _stop(self) -> None:
        if self._started:
            self._words.end_utt()
            self._phones.end_utt()
            self._started = False


def _stretches(decoder: Any) -> list[Stretch]:  # noqa: ANN401 - pocketsphinx has no types
    found: list[Stretch] = []
    for segment in decoder.seg() or ():
        score = _NATS * math.log(segment.ascore) if segment.ascore > 0 else -math.inf
        name = segment.word
        if not name.startswith("("):
            name = name.partition("(")[0]  # of("the(2)"), the second way to say it
        found.append(Stretch(name, segment.start_frame, segment.end_frame, score))
    return found


def _to_fsg(decoder: Any, grammar: Grammar) -> Any:  # noqa: ANN401 - pocketsphinx has no types
    end = len(grammar.arcs)
    weight = _LANGUAGE_WEIGHT  # not applied by create_fsg itself
    arcs: list[tuple[Any, ...]] = [
        (state, to, probability**weight, word)
        for state, leaving in enumerate(grammar.arcs)
        for word, (to, probability) in leaving.items()
    ]
    arcs += [(state, end, chance**weight) for state, chance in grammar.finals.items()]
    return decoder.create_fsg(_GRAMMAR, 0, end, arcs)
