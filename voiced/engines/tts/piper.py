"""Speech by Piper: neural voices from files on disk, a sentence at a time, stopped at once.

piper-tts gives the phonemes. Its own `synthesize` yields nothing before a whole sentence and
cannot be stopped, so the network runs in an onnxruntime session of ours: `RunOptions.terminate`,
set from the thread that hears the cancel, ends a run between two of its nodes, and the session
stays usable (measured: 1 to 30 ms).
"""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.engines.ports import EngineInfo, Work
from voiced.engines.tts.espeak import MAX_TEXT_CHARACTERS
from voiced.engines.tts.piper_shelf import VoiceShelf
from voiced.engines.tts.piper_voices import SUFFIX, LoadedVoice, VoiceFile, new_run
from voiced.errors import EngineFailed, ModelError, SettingsError
from voiced.models.naming import of_another_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

PART_MS = 200
"""Audio in one part on its way to the daemon."""

MEMORY_MB = 512
THREADS = 2
SLOWEST, FASTEST = 0.25, 4.0


class PiperEngine:
    """`ChildEngine` of kind tts.

    `voice` names a voice, perhaps with a speaker (`NAME+SPEAKER`), or is the
    path of an `.onnx` file. Voices are looked for in the models directory. `options.memory_mb`
    bounds what is loaded at once, `options.threads` what a run uses.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        own = options.get("options") or {}
        unknown = sorted(set(own) - {"memory_mb", "threads"})
        if unknown:
            raise SettingsError(
                f"tts.options.{unknown[0]}: unknown; allowed are memory_mb and threads"
            )
        self._wanted = str(options.get("voice") or "")
        self._directory = Path(str(options.get("models_directory") or "models"))
        self._shelf = VoiceShelf(
            self._directory,
            threads=positive("threads", own.get("threads", THREADS)),
            memory_bytes=positive("memory_mb", own.get("memory_mb", MEMORY_MB)) << 20,
        )
        self._default = ""
        self._speaker: int | None = None

    def load(self) -> EngineInfo:
        """Raises `ModelError` without the voice, or with one that is damaged."""
        # It would warn of each character that a voice lacks, and so of what is said.
        logging.getLogger("piper").setLevel(logging.ERROR)
        self._shelf.find()
        name = self._wanted
        if name.endswith(SUFFIX):
            file = VoiceFile(Path(name))
            self._shelf.add(file)
            name = file.name
        found = self._shelf.speaker(name)
        if found is None:
            raise ModelError(self._why_missing(name))
        self._default, self._speaker = found
        voice = self._shelf.take(self._default)
        return EngineInfo(
            kind="tts",
            name="piper",
            version=version("piper-tts"),
            model=name,
            languages=self._shelf.languages,
            sample_rates=(voice.sample_rate,),
            voices=self._shelf.names,
        )

    def _why_missing(self, name: str) -> str:
        names = self._shelf.names
        have = ", ".join(names) or "none"
        choose = "name one of these, or the path of another" if names else "a path may be named"
        faults = "".join(f"; {fault}" for fault in self._shelf.faults)
        other = of_another_kind(self._directory, "piper", name.partition("+")[0])
        return (
            f"tts.voice: there is no Piper voice {name!r} in {self._directory} (there: {have}"
            f"{faults}){other}; {choose}; `voiced models add` brings one"
        )

    def warm_up(self) -> None:
        """Speak a word: the first run of a session allocates."""
        voice = self._shelf.take(self._default)
        for ids in voice.sentences("ready"):
            voice.speak(ids, speed=1.0, speaker=self._speaker, run=new_run())

    def run(self, work: Work) -> Mapping[str, Any]:
        """See `ChildEngine.run`, speak. A voice that is not here, or damaged, is the default one.

        A clause that the daemon sends is mostly one sentence, and so one run; a text of several
        is spoken one by one, so that the first is heard while the second is made.
        """
        text = str(work.params["text"])
        if len(text) > MAX_TEXT_CHARACTERS:
            raise EngineFailed(f"a text to speak may have {MAX_TEXT_CHARACTERS} characters")
        voice, speaker = self._take(str(work.params.get("voice") or ""), work)
        speed = min(max(float(work.params.get("speed", 1.0)), SLOWEST), FASTEST)
        samples = 0
        for ids in voice.sentences(text):
            samples += self._speak(work, voice, ids, speed, speaker)
        return {"duration_s": samples / voice.sample_rate}

    def _take(self, wanted: str, work: Work) -> tuple[LoadedVoice, int | None]:
        """The voice that was asked for, or else the default one, loaded."""
        name, speaker = self._shelf.speaker(wanted) or (self._default, self._speaker)
        try:
            return self._shelf.take(name, work), speaker
        except ModelError as exc:
            print(f"<4>{exc}", file=sys.stderr)
            if name == self._default:
                raise ModelError(str(exc), public="The voice cannot be loaded.") from exc
        return self._take("", work)

    def _speak(
        self, work: Work, voice: LoadedVoice, ids: list[int], speed: float, speaker: int | None
    ) -> int:
        """Speak one sentence and send it; the number of its samples. Raises `WorkCancelled`."""
        work.raise_if_cancelled()
        run = new_run()

        def stop() -> None:
            run.terminate = True

        work.on_cancel(stop)
        try:
            pcm = voice.speak(ids, speed=speed, speaker=speaker, run=run)
        except Exception as exc:  # onnxruntime has an error class of its own for each status
            work.raise_if_cancelled()
            # The library's words may hold paths; they are for the log alone.
            raise EngineFailed(
                f"Piper could not speak a sentence: {exc}", public="A sentence could not be spoken."
            ) from exc
        part = voice.sample_rate * PART_MS // 1000
        for start in range(0, len(pcm), part):
            piece = pcm[start : start + part].tobytes()
            work.emit({"pcm": piece, "sample_rate": voice.sample_rate})
        return len(pcm)


def positive(key: str, value: object) -> int:
    """A whole number above zero from `tts.options`. Raises `SettingsError` naming the key."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"tts.options.{key}: expected a whole number from 1, got {value!r}")
    return value
