"""The voices of Piper on this machine: found as files, loaded when wanted, within a budget.

Reading what a voice says of itself is cheap and done for all; the network of a voice is loaded at
its first use and let go when another one needs the room.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.engines.memory import free_memory
from voiced.engines.tts.piper_voices import LoadedVoice, VoiceFile
from voiced.errors import ModelError
from voiced.models.directory import ModelsDirectory
from voiced.models.need import piper_need

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.ports import Work


class VoiceShelf:
    """All voices of the models directory, and those of them that are loaded, newest use last.

    Used by one thread at a time.
    """

    def __init__(self, directory: Path, *, threads: int, memory_bytes: int) -> None:
        self._directory = directory
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._loaded: dict[str, LoadedVoice] = {}
        self._loading: tuple[VoiceFile, Future[LoadedVoice]] | None = None
        self._broken: dict[str, ModelError] = {}
        self._files: dict[str, VoiceFile] = {}
        self.faults: list[str] = []

    def find(self) -> None:
        """Look for voices. One that cannot be read is left out and named in `faults`."""
        listing = ModelsDirectory(self._directory).look("piper")
        self.faults += listing.faults
        for model in listing.models:
            try:
                self.add(VoiceFile(Path(model.path), model.name))
            except ModelError as exc:
                self.faults.append(str(exc))

    def add(self, file: VoiceFile) -> None:
        """Know one more voice."""
        self._files[file.name.lower()] = file

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that a voice may be asked for by."""
        return tuple(name for file in self._files.values() for name in file.names)

    @property
    def languages(self) -> tuple[str, ...]:
        """What the voices speak, each once."""
        return tuple(sorted({file.config.espeak_voice for file in self._files.values()}))

    def speaker(self, name: str) -> tuple[str, int | None] | None:
        """The voice's name and the speaker's number behind `NAME` or `NAME+SPEAKER`, in whatever
        case; None where there is no such."""
        voice, plus, speaker = name.partition("+")
        file = self._files.get(voice.lower())
        if file is None:
            return None
        number = file.speaker(speaker) if plus else None
        return None if plus and number is None else (file.name, number)

    def take(self, name: str, work: Work | None = None) -> LoadedVoice:
        """The voice of that name, loaded; others go where it needs their room.

        Raises `ModelError` for one that is damaged, or too large for the budget by itself. When
        `work` is cancelled it raises `WorkCancelled` at once; loading cannot be stopped, goes on
        on a thread of its own, and is not lost.
        """
        if name in self._loaded:
            return self._use(name)
        changed = threading.Event()
        if work is not None:
            work.on_cancel(changed.set)
        while True:
            changed.clear()  # before looking: what happens from here on is waited for no more
            if work is not None:
                work.raise_if_cancelled()
            self._collect()
            if (broken := self._broken.get(name)) is not None:
                raise broken
            if name in self._loaded:
                return self._use(name)
            if self._loading is None:
                self._begin(self._files[name.lower()])
            self._wait(changed)

    def _use(self, name: str) -> LoadedVoice:
        voice = self._loaded[name] = self._loaded.pop(name)
        return voice

    def _wait(self, changed: threading.Event) -> None:
        assert self._loading is not None
        self._loading[1].add_done_callback(lambda _: changed.set())
        changed.wait()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the voices in memory, the one used last at the end."""
        return tuple(self._loaded)

    def _begin(self, file: VoiceFile) -> None:
        self._make_room(file)
        future: Future[LoadedVoice] = Future()
        self._loading = (file, future)
        load = _loader(future, file, self._threads)
        threading.Thread(target=load, name=f"load {file.name}", daemon=True).start()

    def _collect(self) -> None:
        """Take note of what has been loaded since, or could not be."""
        if self._loading is None or not self._loading[1].done():
            return
        file, future = self._loading
        self._loading = None
        try:
            self._loaded[file.name] = future.result()
        except ModelError as exc:
            self._broken[file.name] = exc  # not tried again for every clause

    def _make_room(self, file: VoiceFile) -> None:
        if file.memory_bytes > self._memory_bytes:
            raise ModelError(
                f"the Piper voice {file.path} needs about {(file.memory_bytes >> 20) + 1} MiB, and "
                f"tts.options.memory_mb allows {self._memory_bytes >> 20}"
            )
        while self._loaded and self._used_bytes + file.memory_bytes > self._memory_bytes:
            del self._loaded[next(iter(self._loaded))]
        piper_need(file.path, file.bytes).check(free_memory())

    @property
    def _used_bytes(self) -> int:
        return sum(voice.file.memory_bytes for voice in self._loaded.values())


def _loader(future: Future[LoadedVoice], file: VoiceFile, threads: int) -> Callable[[], None]:
    def load() -> None:
        try:
            voice = LoadedVoice(file, threads)
        except BaseException as exc:  # whoever waits must hear of it, whatever it is
            future.set_exception(exc)
        else:
            future.set_result(voice)

    return load
