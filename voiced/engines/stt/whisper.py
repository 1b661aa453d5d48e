"""Speech to text by Whisper: any speech, many languages, from a model on disk.

Where faster-whisper's `transcribe` pads to 30 s and searches with five beams, this encodes the
real length, takes the likeliest token, and can be stopped. What that risks is guarded against
(`whisper_guards`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voiced.engines.placement import keep_apart, threads_at_work
from voiced.engines.ports import EARLY, PARTIALS, WORD_TIMES, EngineInfo
from voiced.engines.stt.whisper_calls import Caller, GivenUp, HastyCaller, Turns
from voiced.engines.stt.whisper_decoder import AUTO, WindowDecoder
from voiced.engines.stt.whisper_model import LEAST_FRAMES, RATE, WhisperModel
from voiced.engines.stt.whisper_utterance import Utterance
from voiced.errors import EngineFailed, ModelError
from voiced.models.naming import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.ports import Work

MOST_THREADS = 4
"""Threads by default; beyond, the small models that run on such machines gain little."""

CONCURRENCY = 2
"""Utterances that are listened to at once. They share the model, call by call, so that somebody
who speaks while a recording is transcribed is heard before that is over."""


class WhisperEngine:
    """`ChildEngine` of kind stt.

    Options: `model` (a directory, by its name in the models directory or by its path; empty for
    the only one there), `language` ("auto" finds out), `threads`, `compute_type`,
    `encoder_window`, `partials`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._language = str(options.get("language") or "auto")
        self._full = options.get("encoder_window", "auto") == "full"
        self._partials = bool(options.get("partials", True))
        self.turns = Turns()
        self._model: WhisperModel | None = None

    def load(self) -> EngineInfo:
        """Raises `ModelError` naming file, cause and remedy where there is no usable model."""
        models = Path(str(self._options.get("models_directory") or "models"))
        folder = find_model(models, "whisper", str(self._options.get("model") or ""))
        self._model = WhisperModel(
            folder,
            threads=int(self._options.get("threads") or min(MOST_THREADS, os.cpu_count() or 1)),
            compute_type=str(self._options.get("compute_type") or "default"),
        )
        known = self._model.languages
        if self._language not in AUTO and language_of(self._language) not in known:
            raise ModelError(
                f"stt.language: the Whisper model {folder} does not know {self._language!r}"
                + ("" if self._model.multilingual else "; it is for English only")
            )
        if self._language in AUTO and not self._model.finds_language:
            raise ModelError(
                f"stt.language: {folder / 'config.json'} has no lang_ids, so that no "
                "language can be found out; name one, or convert the model again"
            )
        can = ["streaming"]
        if self._model.abilities.aligns:
            can.append(WORD_TIMES)
        if self._partials:
            can += (PARTIALS, EARLY)
        return EngineInfo(
            kind="stt",
            name="whisper",
            version=version("faster-whisper"),
            model=folder.name,
            languages=self._model.languages,
            capabilities=tuple(can),
            sample_rates=(RATE,),
            concurrency=CONCURRENCY,
        )

    @property
    def model(self) -> WhisperModel:
        """The model, once loaded."""
        assert self._model is not None, "load comes first"
        return self._model

    def warm_up(self) -> None:
        """Run encoder and decoder once: first runs allocate, and start the model's threads."""
        model = self.model

        def work() -> None:
            encoded = model.encode(np.zeros(RATE, np.float32), LEAST_FRAMES)
            model.decode(encoded, model.prompt(model.languages[0], ""), [])

        keep_apart(threads_at_work(work))

    def run(self, work: Work) -> Mapping[str, Any]:
        """Answer `transcribe` requests, as `ChildEngine.run` describes them.

        A part has, besides `text`, all that was heard so far, `stable`: the words of it that no
        later part takes back. A question is left unanswered when another one comes: what was said
        since then is of more interest.
        """
        language = self._choose(str(work.params.get("language") or self._language))
        decoder, hasty = (
            WindowDecoder(
                self.model,
                caller(work, self.turns),
                prompt=str(work.params.get("prompt") or ""),
                full=self._full,
            )
            for caller in (Caller, HastyCaller)
        )
        wanted = bool(work.params.get("word_times", False))
        word_times = wanted and self.model.abilities.aligns
        utterance = Utterance(decoder, language, work.emit, word_times=word_times, hasty=hasty)
        questions = 0
        for chunk in work.chunks():
            if chunk:
                utterance.feed(chunk)
                continue
            questions += 1
            if self._partials:
                with suppress(GivenUp):
                    part = utterance.so_far()
                    work.emit({**part, "question": questions})
        return utterance.finish()

    def _choose(self, language: str) -> str:
        if language in AUTO:
            if not self.model.finds_language:
                raise EngineFailed("the speech recogniser has to be told the language")
            return language if self.model.multilingual else "en"
        language = language_of(language)
        if language not in self.model.languages:
            raise EngineFailed(f"the speech recogniser does not know the language {language!r}")
        return language


def language_of(tag: str) -> str:
    """`en` of `en`, `en-US` and `en_GB`: the model knows languages and no countries."""
    return tag.lower().replace("_", "-").partition("-")[0]
