"""Speech to text for the assistant's sentences: pocketsphinx with a grammar made of them.

Nothing to download, little memory, and an answer at the end of speech; in return it hears only
what the sentences file allows, and rejects the rest with an empty text. So it does with all of
an utterance longer than `LONGEST_S`, which it says in the log.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pocketsphinx

from voiced.assistant.files import assistant_files
from voiced.assistant.grammar import Grammar, build_grammar
from voiced.assistant.sentences import load_sentences
from voiced.assistant.understanding import Understander
from voiced.engines.ports import PARTIALS, WORD_TIMES, EngineInfo
from voiced.engines.stt.phrases_decoder import SAMPLE_RATE, Decoder
from voiced.engines.stt.phrases_judge import judge
from voiced.engines.stt.phrases_words import find_pronunciations
from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.assistant.sentences import Sentences
    from voiced.engines.ports import Work

# Streams at a time, each with a decoder of some 25 MB. A decoder once made is kept: pocketsphinx
# does not give back all of one that is freed, which came to 35 MB in 1,000 turns.
_CONCURRENCY = 2
LONGEST_S = 60.0  # no sentence is longer, and the decoder's tables grow with it
_WARM_UP_S = 1.2


class PhrasesEngine:
    """`ChildEngine` of kind stt. Options: `sentences`, `home` (paths; empty for the shipped
    files) and `language`. A part holds
    the raw words, and only such as fit what was heard."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._model = Path(pocketsphinx.get_model_path()) / "en-us"
        self._grammar = Grammar((), {})
        self._understander: Understander | None = None
        self._dictionary = ""
        self._free: list[Decoder] = []
        self._lock = threading.Lock()

    def load(self) -> EngineInfo:
        """Read the sentences and build the grammar.

        Raises `ModelError` with file and line where a file is wrong, or where a word of it
        has no known pronunciation.
        """
        sentences_path, home_path = assistant_files(self._options)
        sentences = load_sentences(sentences_path, home_path)
        self._understander = Understander(sentences)
        self._grammar = build_grammar(sentences)
        self._dictionary = self._spell(sentences)
        self._free.append(self._make_decoder())
        return EngineInfo(
            kind="stt",
            name="phrases",
            version="1",
            model=sentences_path.name,
            languages=(sentences.language,),
            capabilities=("streaming", "rejection", PARTIALS, WORD_TIMES),
            sample_rates=(SAMPLE_RATE,),
            concurrency=_CONCURRENCY,
        )

    def warm_up(self) -> None:
        """Decode silence once."""
        decoder = self._free[-1]
        decoder.start()
        decoder.feed(bytes(int(2 * SAMPLE_RATE * _WARM_UP_S)))
        decoder.finish()

    def run(self, work: Work) -> Mapping[str, Any]:
        """Answer `transcribe` requests, as `ChildEngine.run` describes them."""
        with self._lock:
            decoder = self._free.pop() if self._free else None
        decoder = decoder or self._make_decoder()
        try:
            return self._transcribe(work, decoder)
        finally:
            with self._lock:
                self._free.append(decoder)

    def _transcribe(self, work: Work, decoder: Decoder) -> Mapping[str, Any]:
        received = 0
        longest = int(2 * SAMPLE_RATE * LONGEST_S)
        decoder.start()
        for chunk in work.chunks():
            if not chunk:
                work.emit(self._so_far(decoder))
            elif received < longest:
                decoder.feed(chunk[: longest - received])
            received += len(chunk)
            work.raise_if_cancelled()
        words, phones = decoder.finish()
        duration_s = received / (2 * SAMPLE_RATE)
        nothing = {"text": "", "confidence": 0.0, "duration_s": duration_s}
        said = [word.name for word in words]
        if received > longest:
            # The daemon logs what comes here; "<4>" makes it a warning.
            print(
                f"<4>phrases: rejected {duration_s:.0f} s of speech; no sentence takes more than"
                f" {LONGEST_S:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            return nothing
        # The search may stop in mid-sentence: "what time is" is not "what time is it".
        if not self._grammar.accepts(said):
            return nothing
        verdict = judge(words, phones)
        assert self._understander is not None, "load comes first"
        meaning = self._understander.understand_words(said)
        if not verdict.accepted or meaning is None:
            return {**nothing, "confidence": min(verdict.confidence, 0.5)}
        return {
            "text": meaning.written,
            "confidence": verdict.confidence,
            "duration_s": duration_s,
            "words": [
                {"start": word.first / 100, "end": (word.last + 1) / 100, "text": word.name}
                for word in words
            ],
        }

    def _so_far(self, decoder: Decoder) -> Mapping[str, Any]:
        """What was heard of speech that goes on; it may stop anywhere in a sentence."""
        words, phones = decoder.so_far()
        if not judge(words, phones).accepted:
            return {"text": ""}
        said = [word.name for word in words]
        return {"text": " ".join(said), "sentence": self._grammar.accepts(said)}

    def _spell(self, sentences: Sentences) -> str:
        """The dictionary of the grammar's words, as pocketsphinx reads it."""
        needed = {word for leaving in self._grammar.arcs for word in leaving}
        places = {word: place for word, place in sentences.words.items() if word in needed}
        spoken = find_pronunciations(places, self._model / "cmudict-en-us.dict")
        lines: list[str] = []
        for word, ways in sorted(spoken.items()):
            for count, phones in enumerate(ways, 1):
                lines.append(f"{word} {phones}" if count == 1 else f"{word}({count}) {phones}")
        return "\n".join(lines) + "\n"

    def _make_decoder(self) -> Decoder:
        # pocketsphinx takes a dictionary as a file only, which it reads at once.
        with TemporaryDirectory(prefix="voiced-phrases-") as directory:
            path = Path(directory) / "words.dict"
            path.write_text(self._dictionary, encoding="utf-8")
            try:
                return Decoder(self._model / "en-us", path, self._grammar)
            except (RuntimeError, ValueError) as error:
                raise ModelError(
                    f"{self._model}: the acoustic model is unusable: {error}"
                ) from error
