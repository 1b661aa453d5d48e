"""Forms with files, received in any portions and spooled to disk."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.sansio.multipart import Data, MultipartDecoder, NeedData

from tests.patience import CEILING_S
from voiced.errors import StorageError, StorageFull
from voiced.store.room import RESERVE_BYTES
from voiced.web.refusal import Refused
from voiced.web.spool import Spool
from voiced.web.upload import FIELDS_BYTES, receive_form

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUNDARY = "frontier"
HEADERS = Headers({"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    extra = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Portions:
    """A body that comes in portions of `size`."""

    def __init__(self, data: bytes, size: int) -> None:
        self._portions: Iterator[bytes] = iter(
            data[start : start + size] for start in range(0, len(data), size)
        )

    def __aiter__(self) -> Portions:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        for portion in self._portions:
            return portion
        raise StopAsyncIteration


async def receive(
    data: bytes, folder: Path, *, size: int = 65_536, max_bytes: int = 10_000_000
) -> tuple[list[tuple[str, str]], bytes | None]:
    """The fields and the file of a form."""
    spool = Spool(folder / "tmp")
    async with receive_form(HEADERS, Portions(data, size), spool, max_bytes=max_bytes) as received:
        assert not list((folder / "tmp").iterdir()), "the file has a name"
        content = os.pread(received.file.fileno(), 1 << 24, 0)
        assert received.file.size == len(content)
        return received.fields, content if received.has_file else None


async def test_file_and_fields_come_through_in_either_order(tmp_path: Path) -> None:
    file = part("file", np.random.default_rng(1).bytes(2_000_000), "a.wav")
    model, language = part("model", b"m"), part("language", "für".encode())
    for data in (form(file, model, language), form(model, file, language)):
        fields, content = await receive(data, tmp_path)
        assert fields == [("model", "m"), ("language", "für")]
        assert content is not None
        assert content in data


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 13, 64, 4_096])
async def test_portions_make_no_difference(size: int, tmp_path: Path) -> None:
    tricky = b"\r\n--fronti\r\n--frontierx\r\n\r\n--\r\r\n\n" * 40
    data = form(part("a", b"\r\n"), part("file", tricky, "x"), part("b", b""))
    assert await receive(data, tmp_path, size=size) == ([("a", "\r\n"), ("b", "")], tricky)


def test_parser_still_takes_a_line_break_for_data() -> None:
    """When this fails the parser is mended, and `_Receiver._edge` can go."""
    decoder = MultipartDecoder(BOUNDARY.encode())
    value = b""
    for byte in form(part("a", b"")):
        decoder.receive_data(bytes([byte]))
        while not isinstance(event := decoder.next_event(), NeedData):
            if isinstance(event, Data):
                value += event.data
    assert value == b"\r"


async def test_other_files_are_passed_over(tmp_path: Path) -> None:
    data = form(part("cover", b"picture", "c.png"), part("file", b"sound", "s"))
    assert await receive(data, tmp_path) == ([], b"sound")


async def test_empty_file_is_a_file(tmp_path: Path) -> None:
    assert await receive(form(part("file", b"", "s")), tmp_path) == ([], b"")
    assert await receive(form(part("model", b"m")), tmp_path) == ([("model", "m")], None)


BAD = {
    "nothing": b"",
    "no form": b"hello " * 100,
    "cut short": form(part("file", b"x" * 1000, "a"))[:600],
    "no last boundary": part("file", b"x", "a"),
    "no name": form(b"--frontier\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
    "no disposition": form(b"--frontier\r\nContent-Type: text/plain\r\n\r\nx\r\n"),
    "long head": b"--frontier\r\nX: " + b"y" * 200_000,
    "long field": form(part("prompt", b"x" * (FIELDS_BYTES + 1))),
    "many parts": form(*[part("x", b"")] * 65),
    "no text": form(part("prompt", b"\xff")),
    "file as a field": form(part("file", b"x")),
    "two files": form(part("file", b"x", "a"), part("file", b"x", "b")),
}


@pytest.mark.parametrize("kind", BAD)
async def test_malformed_form_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        await receive(BAD[kind], tmp_path)
    assert caught.value.refusal.status == 400


@given(st.binary(max_size=300), st.integers(1, 50), st.booleans())
@settings(max_examples=60, deadline=None)
def test_garbage_never_breaks_the_parser(data: bytes, size: int, begins_well: bool) -> None:
    async def main() -> None:
        body = part("file", b"x", "a") + data if begins_well else data
        try:
            await receive(body, Path("/tmp"), size=size)
        except Refused as refused:
            assert refused.refusal.status == 400  # noqa: PT017  # or it is a form by chance

    trio.run(main)


async def test_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    data = form(part("file", bytes(1001), "a"))
    assert (await receive(data, tmp_path, max_bytes=1001))[1] == bytes(1001)
    with pytest.raises(Refused) as caught:
        await receive(data, tmp_path, max_bytes=1000)
    assert caught.value.refusal.status == 413


async def test_form_that_never_ends_is_refused_whatever_fills_it(tmp_path: Path) -> None:
    begun = part("cover", b"picture", "c.png").rpartition(b"\r\n")[0]
    data = begun + bytes(3 * FIELDS_BYTES)  # of which the end never comes
    with pytest.raises(Refused) as caught:
        async with receive_form(HEADERS, Portions(data, 4096), Spool(tmp_path), max_bytes=1000):
            pass
    assert caught.value.refusal.status == 413


async def test_length_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    headers = Headers({**HEADERS, "Content-Length": "99999999"})

    class Untouched(Portions):
        async def __anext__(self) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(Refused) as caught:
        async with receive_form(headers, Untouched(b"", 1), Spool(tmp_path), max_bytes=1000):
            pass
    assert caught.value.refusal.status == 413


@pytest.mark.parametrize("kind", [None, "application/json", "multipart/form-data"])
async def test_other_media_types_are_refused(kind: str | None, tmp_path: Path) -> None:
    headers = Headers({} if kind is None else {"Content-Type": kind})
    with pytest.raises(Refused) as caught:
        async with receive_form(headers, Portions(b"", 1), Spool(tmp_path), max_bytes=1):
            pass
    assert caught.value.refusal.status == (400 if kind and "form" in kind else 415)


async def test_full_disk_is_said_before_the_file_comes(tmp_path: Path) -> None:
    with pytest.raises(StorageFull) as caught:
        async with Spool(tmp_path).open(1 << 60):
            pass
    assert caught.value.status == 507
    assert str(tmp_path) not in caught.value.public


async def test_disk_that_fills_up_meanwhile_is_said(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a small disk, which only root can make."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageFull):
            await receive(form(part("file", bytes(3_000_000), "a")), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


async def test_disk_is_not_filled_to_its_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk here has a little more room than is to be left free."""
    grown: list[int] = []

    def nearly_full(descriptor: int) -> SimpleNamespace:
        grown.append(os.fstat(descriptor).st_size)
        return SimpleNamespace(f_frsize=1, f_bavail=RESERVE_BYTES + 2_000_000 - grown[-1])

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    data = form(part("file", bytes(1_500_000), "a"))
    assert (await receive(data, tmp_path))[1] == bytes(1_500_000)
    with pytest.raises(StorageFull):
        await receive(form(part("file", bytes(3_000_000), "a")), tmp_path)
    assert 1_000_000 < max(grown) <= 2_000_000


async def test_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as caught:
        async with Spool(tmp_path / "file" / "tmp").open(0):
            pass
    assert caught.value.status == 500


async def test_cancelled_upload_leaves_nothing(tmp_path: Path) -> None:
    class Endless(Portions):
        async def __anext__(self) -> bytes:
            await trio.lowlevel.checkpoint()
            return bytes(65_536)

    spool = Spool(tmp_path / "tmp")
    begin = part("file", b"", "a")[:-2]
    with trio.move_on_after(0.2) as scope:
        body = Endless(b"", 1)
        body._portions = iter([begin])
        async with receive_form(HEADERS, _Then(begin, body), spool, max_bytes=1 << 40):
            pass
    assert scope.cancelled_caught
    assert not list((tmp_path / "tmp").iterdir())


class _Then:
    """`first`, then what `rest` has."""

    def __init__(self, first: bytes, rest: Portions) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> _Then:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._rest.__anext__()


KILLED = """
import os, sys, trio
from pathlib import Path
from voiced.store.room import RESERVE_BYTES
from voiced.web.spool import Spool
async def main():
    async with Spool(Path(sys.argv[1])).open(0) as file:
        await file.write(bytes(3_000_000))
        await file.flush()
        os.kill(os.getpid(), 9)
trio.run(main)
"""


def test_killed_daemon_leaves_no_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=CEILING_S
    )
    assert done.returncode == -9
    assert not list(tmp_path.iterdir())


def test_sweeping_removes_what_a_file_system_without_nameless_files_keeps(tmp_path: Path) -> None:
    (tmp_path / "tmpabc").write_bytes(b"x")
    Spool(tmp_path).sweep()
    assert not list(tmp_path.iterdir())
    Spool(tmp_path / "none").sweep()
