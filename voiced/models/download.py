"""Fetching one file over HTTP: continued where it stopped, and checked when it is whole."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

import httpx2
import msgspec
import trio

from voiced import __version__
from voiced.errors import DownloadError, UsageError, VoicedError
from voiced.models.causes import cause_of, is_hopeless
from voiced.models.part import Part
from voiced.models.source import check_url, is_secure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from voiced.models.manifest import ModelFile

CONNECT_S: Final = 20.0
STALLED_S: Final = 60.0
"""Seconds without a byte after which a connection counts as cut."""

WAITS_S: Final = (1.0, 2.0, 5.0, 10.0)
"""Before each further try. A try that brought anything is the last one's success: they begin
anew."""

MOST_REDIRECTS: Final = 8
MOST_LIST_BYTES: Final = 16 << 20
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_TRY_AGAIN: Final = {408, 425, 429, 500, 502, 503, 504}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be fetched, and what is known of it: its bytes, and a checksum of one kind.

    `git_sha1` is what Git calls the file's content: the hub has no SHA-256 of small files.
    """

    path: str
    url: str
    size: int | None = None
    sha256: str = ""
    git_sha1: str = ""


class _Cut(Exception):
    """The connection ended before the file did, or the server is busy: worth another try."""


def open_client() -> httpx2.AsyncClient:
    """A client that follows nothing by itself. Proxies and authorities are the environment's.

    Raises `DownloadError` where these are of no use.
    """
    try:
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(STALLED_S, connect=CONNECT_S),
            # What comes to the disk shall be what the server has, byte by byte: no compression.
            headers={"user-agent": f"voiced/{__version__}", "accept-encoding": "identity"},
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as exc:
        raise DownloadError(
            f"the environment's proxy (HTTPS_PROXY and the like) or authorities (SSL_CERT_FILE, "
            f"SSL_CERT_DIR) cannot be used: {exc}"
        ) from exc


async def get_list(
    client: httpx2.AsyncClient, url: str, what: str, waits: Sequence[float] = WAITS_S
) -> bytes:
    """A short answer, whole. Raises `DownloadError`."""
    for wait_s in (*waits, None):
        data = bytearray()
        try:
            response = await _open(client, url, {}, what)
            try:
                await _read_body(response, partial(_collect, data, what))
            finally:
                await response.aclose()
            return bytes(data)
        except (httpx2.HTTPError, _Cut) as exc:
            if wait_s is None or is_hopeless(exc):
                raise DownloadError(f"cannot reach {what}: {cause_of(exc)}") from exc
        await trio.sleep(wait_s)
    raise AssertionError("the last try returns or raises")


async def _collect(data: bytearray, what: str, chunk: bytes) -> None:
    data += chunk
    if len(data) > MOST_LIST_BYTES:
        raise DownloadError(f"the list of what is in {what} is too long")


async def fetch(
    client: httpx2.AsyncClient,
    wanted: Wanted,
    path: Path,
    *,
    check_room: Callable[[int], None],
    advance: Callable[[int], None],
    waits: Sequence[float] = WAITS_S,
) -> ModelFile:
    """Fetch a file into `path`, where a part of it may lie already.

    `check_room` is asked for the bytes that are still to come, once they are known, and raises
    what should be raised; `advance` is told the bytes there are, again and again. Raises
    `DownloadError`, `StorageError`. Cancelling leaves the part, and so do lost connections; what
    turns out to be wrong does not stay.
    """
    with Part(path, wanted.url, has_checksum=bool(wanted.sha256 or wanted.git_sha1)) as part:
        await trio.to_thread.run_sync(part.open)
        while await trio.to_thread.run_sync(part.read_on):
            advance(part.size)
        continued = part.size > 0
        advance(part.size)
        while True:
            await _fetch_whole(client, wanted, part, check_room, advance, waits)
            fault = part.fault(wanted.size, wanted.sha256, wanted.git_sha1)
            if not fault:
                return await trio.to_thread.run_sync(part.finish, wanted.path)
            await trio.to_thread.run_sync(part.restart)
            if not continued:
                part.discard()
                raise DownloadError(f"{wanted.url} {fault}")
            continued = False  # the old part may be what was wrong


async def _fetch_whole(
    client: httpx2.AsyncClient,
    wanted: Wanted,
    part: Part,
    check_room: Callable[[int], None],
    advance: Callable[[int], None],
    waits: Sequence[float],
) -> None:
    tries = 0
    while wanted.size is None or part.size < wanted.size:
        began = part.size
        try:
            await _fetch_rest(client, wanted, part, check_room, advance)
            return
        except (httpx2.HTTPError, _Cut) as exc:
            tries = 0 if part.size > began else tries
            if tries == len(waits) or is_hopeless(exc):
                more = f"; the same command continues after {part.size} bytes" if part.size else ""
                raise DownloadError(f"cannot fetch {wanted.url}: {cause_of(exc)}{more}") from exc
            await trio.sleep(waits[tries])
            tries += 1


async def _fetch_rest(
    client: httpx2.AsyncClient,
    wanted: Wanted,
    part: Part,
    check_room: Callable[[int], None],
    advance: Callable[[int], None],
) -> None:
    """One request. Raises `httpx2.HTTPError` and `_Cut` where another one may do better."""
    response = await _open(client, wanted.url, part.range_headers(), wanted.url)
    try:
        if response.status_code == 416:
            if response.headers.get("content-range", "") == f"bytes */{part.size}":
                return  # it was all here
            await trio.to_thread.run_sync(part.restart)
            raise _Cut("the server has less of the file than is here")
        if part.size and not _is_rest(response, part):
            await trio.to_thread.run_sync(part.restart)
            if response.status_code == 206:
                raise _Cut("the server sent another part than was asked for")
        whole = _whole_size(response, part.size)
        _check_size(wanted, whole, response)
        if whole is not None:
            check_room(whole - part.size)
        await trio.to_thread.run_sync(part.note_origin, _tag(response))

        async def keep(chunk: bytes) -> None:
            if wanted.size is not None and part.size + len(chunk) > wanted.size:
                raise DownloadError(f"{wanted.url} has more than {wanted.size} bytes")
            if whole is None:
                check_room(len(chunk))  # nobody knows how much is still to come
            await trio.to_thread.run_sync(part.append, chunk)
            advance(part.size)

        await _read_body(response, keep)
        if whole is not None and part.size < whole:
            raise _Cut("the connection was cut")
    finally:
        await response.aclose()


async def _read_body(response: httpx2.Response, take: Callable[[bytes], Awaitable[None]]) -> None:
    """Hand over the body piece by piece; raises what `take` raises.

    The client's generators of a body must come to their end, or Python complains when it frees
    them. So a failure of `take` cancels them from within, where they clean up.
    """
    failure: VoicedError | None = None
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            if failure is not None:
                continue
            try:
                await take(chunk)
            except VoicedError as exc:
                failure = exc
                scope.cancel(reason="nobody wants the rest")
    if failure is not None:
        raise failure


def _is_rest(response: httpx2.Response, part: Part) -> bool:
    """Whether the answer goes on where the part ends, and is of the same content: not every
    server minds If-Range."""
    where = response.headers.get("content-range", "")
    same = not (part.tag and _tag(response)) or part.tag == _tag(response)
    return response.status_code == 206 and same and where.startswith(f"bytes {part.size}-")


def _check_size(wanted: Wanted, whole: int | None, response: httpx2.Response) -> None:
    if whole is None:
        # Without a length only a chunked answer has an end that a cut connection has not.
        if wanted.size is None and "transfer-encoding" not in response.headers:
            raise DownloadError(f"{wanted.url}: the server does not tell how long the file is")
    elif wanted.size is not None and whole != wanted.size:
        raise DownloadError(f"{wanted.url} has {whole} bytes instead of {wanted.size}")


def _whole_size(response: httpx2.Response, before: int) -> int | None:
    """Bytes of the whole file, as far as the server tells."""
    _, _, total = response.headers.get("content-range", "").partition("/")
    if response.status_code == 206 and total.isdecimal():
        return int(total)
    length = response.headers.get("content-length", "")
    return before + int(length) if length.isdecimal() else None


def _tag(response: httpx2.Response) -> str:
    """By which the server knows this very content, for If-Range; "" where it has nothing firm."""
    tag: str = response.headers.get("etag", "")
    modified: str = response.headers.get("last-modified", "")
    return tag if tag.startswith('"') else modified


async def _open(
    client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], what: str
) -> httpx2.Response:
    """The answer to GET, its body unread; redirects are followed, though to nothing less safe."""
    for _ in range(MOST_REDIRECTS):
        try:
            request = client.build_request("GET", url, headers=headers)
            response = await client.send(request, stream=True)
        except (httpx2.InvalidURL, UnicodeError) as exc:  # the latter for a host as no host is
            raise DownloadError(f"{url[:200]} is no address: {exc}") from exc
        if response.status_code in {200, 206, 416}:
            if response.headers.get("content-encoding", "identity") == "identity":
                return response
            await response.aclose()
            raise DownloadError(f"{what}: the server compresses it, which it was asked not to do")
        await response.aclose()
        if response.status_code not in _REDIRECTS:
            raise _refusal(response.status_code, what)
        try:
            there = urljoin(url, response.headers.get("location", ""))
            check_url(there)
        except (ValueError, UsageError):
            there = ""
        if not there or (is_secure(url) and not is_secure(there)):
            raise DownloadError(f"{what} sends on to an address that is not https")
        url = there
    raise DownloadError(f"{what} is sent on and on from one address to the next")


def _refusal(status: int, what: str) -> DownloadError | _Cut:
    if status in _TRY_AGAIN:
        return _Cut(f"the server answered {status}")
    if status in {401, 403}:
        return DownloadError(
            f"{what} is not for everybody (the server answered {status}): fetch it where you are "
            "signed in, and add the file"
        )
    if status in {404, 410}:
        return DownloadError(f"{what} is not there (the server answered {status})")
    return DownloadError(f"cannot fetch {what}: the server answered {status}")
