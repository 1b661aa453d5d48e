"""A file on its way: what is there of it, whence that is, and its checksums so far."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import IO, TYPE_CHECKING, Final

import msgspec

from voiced.errors import StorageError, StorageFull
from voiced.models.manifest import READ_BYTES, ModelFile

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

NOTE_SUFFIX: Final = ".from"

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _Origin(msgspec.Struct, frozen=True):
    url: str
    tag: str


class Part:
    """Everything but `range_headers` blocks, and raises `StorageError`.

    Beside the part a small file says where it is from, with the server's tag for the content: a
    part of something else is not continued. Without a tag it is continued only where a checksum
    will tell at the end.
    """

    def __init__(self, path: Path, url: str, *, has_checksum: bool) -> None:
        self._path = path
        self._note = path.with_name(path.name + NOTE_SUFFIX)
        self._url = url
        self._has_checksum = has_checksum
        self._file: IO[bytes] | None = None
        self._sha256 = hashlib.sha256()
        self.tag = ""
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        # Not `self.size`: who is interrupted before it has read on has a part all the same.
        is_empty = not os.fstat(self._file.fileno()).st_size
        self._file.close()
        if is_empty:
            self.discard()

    def open(self) -> None:
        """Open what is there already; begin anew where that is of no use."""
        try:
            self._file = self._path.open("a+b", buffering=0)
            origin = self._read_note()
            if origin is None or origin.url != self._url or not (origin.tag or self._has_checksum):
                self._empty()
                return
            self.tag = origin.tag
            self._file.seek(0)
        except OSError as exc:
            raise self._failure(exc) from exc

    def read_on(self) -> bool:
        """Take the next piece of what is there into account; False where that was all of it.

        After `open`, before anything else: gigabytes take their time, and may be interrupted.
        """
        assert self._file is not None
        try:
            block = self._file.read(READ_BYTES)
        except OSError as exc:
            raise self._failure(exc) from exc
        self._sha256.update(block)
        self.size += len(block)
        return bool(block)

    def range_headers(self) -> dict[str, str]:
        """What asks for the rest, and for all where the content has changed."""
        if not self.size:
            return {}
        headers = {"range": f"bytes={self.size}-"}
        return {**headers, "if-range": self.tag} if self.tag else headers

    def note_origin(self, tag: str) -> None:
        """Write down where the bytes to come are from."""
        self.tag = tag
        try:
            self._note.write_bytes(msgspec.json.encode(_Origin(self._url, tag)))
        except OSError as exc:
            raise self._failure(exc) from exc

    def append(self, data: bytes) -> None:
        """Keep more of it."""
        assert self._file is not None
        rest = memoryview(data)
        try:
            while rest:
                written = self._file.write(rest)
                self._sha256.update(rest[:written])
                self.size += written
                rest = rest[written:]
        except OSError as exc:
            raise self._failure(exc) from exc

    def restart(self) -> None:
        """Forget what is there."""
        try:
            self._empty()
        except OSError as exc:
            raise self._failure(exc) from exc

    def discard(self) -> None:
        """Leave nothing behind."""
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def fault(self, size: int | None, sha256: str, git_sha1: str) -> str:
        """What of the whole is not as it should be; "" where nothing is."""
        if size is not None and self.size != size:
            return f"has {self.size} bytes instead of {size}"
        if sha256 and self._sha256.hexdigest() != sha256.lower():
            return f"has the SHA-256 {self._sha256.hexdigest()} instead of {sha256.lower()}"
        if git_sha1 and self._git_sha1() != git_sha1:
            return "is not what the repository says it is (its Git checksum differs)"
        return ""

    def finish(self, name: str) -> ModelFile:
        """On to the disk with it; what a manifest says of it, as `name`. The note stays: should
        another file of the model be interrupted, this one is still known to be whole."""
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
        except OSError as exc:
            raise self._failure(exc) from exc
        return ModelFile(path=name, size=self.size, sha256=self._sha256.hexdigest())

    def _git_sha1(self) -> str:
        assert self._file is not None
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        self._file.seek(0)
        while block := self._file.read(READ_BYTES):
            digest.update(block)
        return digest.hexdigest()

    def _empty(self) -> None:
        assert self._file is not None
        self._file.truncate(0)
        self._sha256 = hashlib.sha256()
        self.tag = ""
        self.size = 0

    def _read_note(self) -> _Origin | None:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=_Origin)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def _failure(self, exc: OSError) -> StorageError:
        if exc.errno in _FULL:
            return StorageFull(
                f"no room for {self._path.name} after {self.size} bytes ({exc.strerror}); make "
                "room, and the same command continues"
            )
        return StorageError(f"cannot write {self._path}: {exc.strerror}")
