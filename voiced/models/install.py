"""Putting a model into the models directory: from a path or over the network, all of it or none.

Everything is collected in a directory of its own beside the models, and gets its name by one
rename when it is whole, checked and described. What an interrupted run leaves there is continued
by the next one with the same source.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from voiced.errors import ModelError, StorageFull, UsageError
from voiced.models import download, hub
from voiced.models.download import WAITS_S, Wanted, open_client
from voiced.models.files import bytes_in, copy_file, files_at, sync_directory
from voiced.models.manifest import (
    Manifest,
    ModelFile,
    is_safe_name,
    read_manifest,
    write_manifest,
)
from voiced.models.part import NOTE_SUFFIX
from voiced.models.shape import ONNX, Shape, choose, examine
from voiced.models.source import HubSource, LocalSource, Source, WebSource
from voiced.models.staging import ENTERABLE, READABLE, open_staging

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import httpx2

    Advance = Callable[[float, float | None, str], None]
    """Told the bytes there are, those there will be (None: not known), and what is done."""

RESERVE_BYTES = 256 << 20
"""Left free on the disk: logs and the system need room too."""


MOST_LICENCE = 200
"""Characters of a licence that are kept: it is a name, or an address."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to install: `name` and `licence` may be "", `sha256` is of a single model file."""

    source: Source
    name: str = ""
    licence: str = ""
    sha256: str = ""


class _Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before its files are here. Their paths are bare names."""

    name: str
    shape: Shape
    source: str
    licence: str


def nobody(done: float, total: float | None, doing: str) -> None:
    """Nobody looks at the progress."""


class Installer:
    """Adds models to the directory `path`, which is made where it is missing."""

    def __init__(
        self,
        path: Path,
        *,
        free_bytes: Callable[[Path], int] | None = None,
        waits: Sequence[float] = WAITS_S,
    ) -> None:
        self._path = path
        self._free_bytes = free_bytes or (lambda where: shutil.disk_usage(where).free)
        self._waits = waits

    # -- from a path

    def add_local(self, request: Request, advance: Advance = nobody) -> Manifest:
        """Copy a model that is on this machine. Blocks.

        Raises `ModelError` for what no engine takes, `UsageError` for a name that is taken or
        cannot be one, and `StorageError`.
        """
        assert isinstance(request.source, LocalSource)
        given = Path(os.path.abspath(request.source.path))
        files, suggested = files_at(given)
        shape = choose(files, str(given))
        ready = self._ready(request, shape, shape.stem or suggested)
        origins = {name: files[path] for path, name in _flat(shape).items()}
        with open_staging(self._path, ready.source, keep=False) as staging:
            total = sum(origin.stat().st_size for origin in origins.values())
            self._check_room(total)
            done = 0

            def count(step: int) -> None:
                nonlocal done
                done += step
                advance(done, total, f"copying {ready.name}")

            copied = [
                copy_file(origin, staging / name, count) for name, origin in sorted(origins.items())
            ]
            if request.sha256:
                _check_sum(ready, copied, request.sha256)
            return self._finish(ready, staging, copied)

    # -- over the network

    async def add_remote(self, request: Request, advance: Advance = nobody) -> Manifest:
        """Fetch a model. Raises `DownloadError` besides what `add_local` does.

        Cancelling leaves what is here already for the next time.
        """
        source = request.source
        async with open_client() as client:
            if isinstance(source, HubSource):
                found = await hub.look_up(client, source, self._waits)
                shape, wanted, licence = found.shape, found.wanted, found.licence
                suggested = shape.stem or source.repository.partition("/")[2]
                # As it is now: what is continued later is the same commit, or begun anew.
                pinned = str(msgspec.structs.replace(source, revision=found.commit))
            else:
                assert isinstance(source, WebSource)
                shape, wanted = _web_files(source)
                suggested, pinned, licence = shape.stem, str(source), ""
            flat = _flat(shape)
            told = source.public if isinstance(source, WebSource) else pinned
            ready = self._ready(request, shape, suggested, told, licence)
            with open_staging(self._path, pinned, keep=True) as staging:
                named = [
                    msgspec.structs.replace(
                        entry,
                        path=flat[entry.path],
                        sha256=self._expected(entry, shape, request),
                    )
                    for entry in wanted
                ]
                files = await self._fetch_all(client, named, staging, ready, advance)
                return self._finish(ready, staging, files)

    @staticmethod
    def _expected(entry: Wanted, shape: Shape, request: Request) -> str:
        main = entry.path == (shape.main or next(iter(shape.files)))
        if not (main and request.sha256):
            return entry.sha256
        if entry.sha256 and entry.sha256 != request.sha256.lower():
            raise UsageError(
                f"the hub says that {entry.path} has the SHA-256 {entry.sha256}, not the one given"
            )
        return request.sha256.lower()

    async def _fetch_all(
        self,
        client: httpx2.AsyncClient,
        wanted: Sequence[Wanted],
        staging: Path,
        ready: _Ready,
        advance: Advance,
    ) -> list[ModelFile]:
        sizes = [entry.size for entry in wanted]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        self._check_room(max(0, (total or 0) - bytes_in(staging)))
        before = 0

        def tell(done: int) -> None:
            advance(before + done, total, f"fetching {ready.name}")

        files = []
        # The small ones first: they tell soonest that something is wrong.
        for entry in sorted(wanted, key=lambda entry: entry.size or 0):
            fetched = await download.fetch(
                client,
                entry,
                staging / entry.path,
                check_room=self._check_room,
                advance=tell,
                waits=self._waits,
            )
            files.append(fetched)
            before += fetched.size
        return sorted(files, key=lambda file: file.path)

    # -- both

    def _ready(
        self, request: Request, shape: Shape, suggested: str, source: str = "", licence: str = ""
    ) -> _Ready:
        name = request.name or suggested
        if not is_safe_name(name):
            raise UsageError(
                f"{name[:120]!r} cannot be a model's name: letters, digits, '.', '_' and '-' can, "
                f"and the first is a letter or digit; {_other_name(name)} gives another"
            )
        for taken in (name, f"{name}.gguf", f"{name}.onnx"):
            if (self._path / taken).exists():
                raise self._taken(name)
        bare = _flat(shape)
        flat = msgspec.structs.replace(
            shape, files=tuple(bare.values()), main=bare.get(shape.main, "")
        )
        return _Ready(
            name=name,
            shape=flat,
            source=source or str(Path(os.path.abspath(str(request.source)))),
            licence=request.licence or licence,
        )

    def _taken(self, name: str) -> UsageError:
        return UsageError(
            f"there is a model {name} already in {self._path}; `voiced models remove {name}` "
            "removes it, --name gives this one another name"
        )

    def _check_room(self, needed: int) -> None:
        free = self._free_bytes(self._path)
        if needed + RESERVE_BYTES > free:
            raise StorageFull(
                f"no room in {self._path}: {needed >> 20} MiB are needed besides a reserve of "
                f"{RESERVE_BYTES >> 20} MiB, and {free >> 20} MiB are free"
            )

    def _finish(self, ready: _Ready, staging: Path, files: Sequence[ModelFile]) -> Manifest:
        try:
            shape = examine(staging, ready.shape)
        except ModelError as exc:
            # Where it is looked at is gone afterwards; who asked knows where it came from.
            main = f"/{ready.shape.main}"
            looked = f"{staging}{main}" if ready.source.endswith(main) else str(staging)
            raise ModelError(str(exc).replace(looked, ready.source)) from exc
        manifest = Manifest(
            name=ready.name,
            kind=shape.kind,
            engine=shape.engine,
            main=shape.main,
            source=ready.source,
            licence=_printable(ready.licence or shape.licence),
            added=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            files=tuple(files),
        )
        write_manifest(staging, manifest)
        assert read_manifest(staging) == manifest
        # Last of all: without its note a part is fetched anew.
        for note in staging.glob(f"*{NOTE_SUFFIX}"):
            note.unlink()
        for file in staging.iterdir():
            file.chmod(READABLE)
        staging.chmod(ENTERABLE)
        try:
            staging.rename(self._path / ready.name)
        except OSError as exc:
            if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
            raise self._taken(ready.name) from exc  # by somebody who was quicker
        sync_directory(self._path)
        return manifest


def _flat(shape: Shape) -> Mapping[str, str]:
    """Each file's path at its source, and the bare name that it gets here."""
    return {path: PurePosixPath(path).name for path in shape.files}


def _web_files(source: WebSource) -> tuple[Shape, tuple[Wanted, ...]]:
    """A single file; for a voice the description beside it as well."""
    name = source.file_name
    wanted = [Wanted(path=name, url=source.url)]
    if name.endswith(ONNX):
        wanted.append(Wanted(path=f"{name}.json", url=source.beside(".json")))
    return choose([entry.path for entry in wanted], source.url), tuple(wanted)


def _printable(text: str) -> str:
    """What a model says of itself is somebody else's text, and is shown in terminals."""
    return "".join(c if c.isprintable() else " " for c in text[:MOST_LICENCE]).strip()


def _check_sum(ready: _Ready, files: Sequence[ModelFile], sha256: str) -> None:
    main = ready.shape.main or ready.shape.files[0]
    found = next(file.sha256 for file in files if file.path == main)
    if found != sha256.lower():
        raise ModelError(f"{main} has the SHA-256 {found} instead of {sha256.lower()}")


def _other_name(name: str) -> str:
    """The option to call a model by a name like this one, which cannot be."""
    fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return f"`--name {fitting}`" if is_safe_name(fitting) else "--name"
