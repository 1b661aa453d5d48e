"""Files to download, whole or in part: ranges, and nothing sent twice (RFC 9110, 13 and 14)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import msgspec
import trio
from werkzeug.http import (
    http_date,
    parse_etags,
    parse_if_range_header,
    parse_range_header,
)

from voiced.web.refusal import Refusal, Refused
from voiced.web.streaming import StreamedResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from quart import Response
    from werkzeug.datastructures import Headers

    from voiced.web.streaming import Put

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CHUNK_BYTES: Final = 262_144
_THREADS: Final = 4


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file that does not change any more, and how it is told to the client."""

    path: Path
    media_type: str
    name: str
    etag: str
    modified: float
    """Seconds since 1970."""


class Downloads:
    """Answers with files, a few at a time reading from the disk."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_THREADS)

    async def _in_thread(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)

    async def answer(self, download: Download, headers: Headers, method: str) -> Response:
        """The answer to a request with `headers`. Raises `Refused` where there is no such file,
        and with 416 where no part of it was asked for."""
        try:
            size = (await self._in_thread(os.stat, download.path)).st_size
        except OSError as exc:
            raise Refused(Refusal(404, "no_result", "The file is gone.")) from exc
        response = StreamedResponse(_nothing, download.media_type)
        etag = f'"{download.etag}"'
        response.headers.update(
            {
                "ETag": etag,
                "Last-Modified": http_date(download.modified),
                "Accept-Ranges": "bytes",
                "Cache-Control": "private, no-cache",
                "Content-Disposition": f'attachment; filename="{download.name}"',
            }
        )
        if _is_fresh(download, headers):
            response.status_code = 304
            del response.headers["Content-Type"]
            return response
        first, stop = _part(download, headers, size)
        if (first, stop) != (0, size):
            response.status_code = 206
            response.headers["Content-Range"] = f"bytes {first}-{stop - 1}/{size}"
        response.content_length = stop - first

        async def produce(put: Put) -> None:
            file = await self._in_thread(os.open, download.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                at = first
                while at < stop:
                    data = await self._in_thread(os.pread, file, min(CHUNK_BYTES, stop - at), at)
                    if not data:
                        raise EOFError("a result became shorter")
                    at += len(data)
                    await put(data)
            finally:
                os.close(file)

        if method != "HEAD":
            response.produce = produce
        return response


async def _nothing(put: Put) -> None:
    """The body of an answer that has none."""


def _is_fresh(download: Download, headers: Headers) -> bool:
    """Whether the client has it already."""
    known = headers.get("If-None-Match")
    return known is not None and parse_etags(known).contains_weak(download.etag)


def _part(download: Download, headers: Headers, size: int) -> tuple[int, int]:
    """From which byte up to which. Several ranges at once, or another unit, mean all of it."""
    wanted = parse_range_header(headers.get("Range"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return 0, size
    condition = parse_if_range_header(headers.get("If-Range"))
    if condition.etag is not None and condition.etag != download.etag:
        return 0, size
    if condition.date is not None and int(download.modified) > condition.date.timestamp():
        return 0, size
    found = wanted.range_for_length(size)
    if found is None:
        message = f"There is nothing in that range: the file has {size} bytes."
        fields = (("Content-Range", f"bytes */{size}"),)
        raise Refused(Refusal(416, "range_not_satisfiable", message, fields))
    return found
