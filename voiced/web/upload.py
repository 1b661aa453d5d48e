"""Forms with a file in them, parsed as they come: the fields are kept, the file is spooled."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable

    from werkzeug.datastructures import Headers
    from werkzeug.sansio.multipart import Event

    from voiced.web.spool import Spool, SpooledFile

MULTIPART: Final = "multipart/form-data"

FIELDS_BYTES: Final = 262_144
"""All fields together, and what stands around the file."""

MOST_PARTS: Final = 64

_SLICE_BYTES: Final = 65_536
_HEADS_BYTES: Final = 16_384


class Form:
    """A form that was received: `fields` in order, and `file`, complete."""

    def __init__(self, file: SpooledFile) -> None:
        self.file = file
        self.has_file = False
        self.fields: list[tuple[str, str]] = []


@asynccontextmanager
async def receive_form(
    headers: Headers, body: AsyncIterable[bytes], spool: Spool, *, max_bytes: int
) -> AsyncGenerator[Form, None]:
    """Receive a multipart form whose part `file` is at most `max_bytes` long.

    The file lives as long as the context. Files under other names are passed over. Raises
    `Refused` (400, 413, 415) for what is no such form, and `StorageError`.
    """
    boundary = _boundary(headers)
    length = headers.get("Content-Length", 0, type=int)
    if length > max_bytes + FIELDS_BYTES:
        raise too_large(max_bytes)
    async with spool.open(length) as file:
        form = Form(file)
        await _Receiver(form, boundary, max_bytes).receive(body)
        yield form


def too_large(max_bytes: int) -> Refused:
    """The refusal of a file that is larger than `max_bytes`."""
    megabytes = max_bytes / 1e6
    message = f"The file is too large: at most {megabytes:g} MB are taken (limits.upload_mb)."
    return Refused(Refusal(413, "request_entity_too_large", message, param="file"))


def _boundary(headers: Headers) -> bytes:
    media_type, options = parse_options_header(headers.get("Content-Type"))
    if media_type != MULTIPART:
        message = f"Send the request as {MULTIPART}, with the recording in its part 'file'."
        raise Refused(Refusal(415, "unsupported_media_type", message))
    boundary = options.get("boundary", "").encode("utf-8", "replace")
    if not 0 < len(boundary) <= 200:
        raise _malformed("it names no boundary")
    return boundary


def _malformed(why: str) -> Refused:
    return Refused(Refusal(400, "invalid_form", f"The form is malformed: {why}."))


class _Receiver:
    """Follows one form through its events."""

    def __init__(self, form: Form, boundary: bytes, max_bytes: int) -> None:
        self._form = form
        self._max_bytes = max_bytes
        self._decoder = MultipartDecoder(
            boundary, max_form_memory_size=_SLICE_BYTES + _HEADS_BYTES, max_parts=MOST_PARTS
        )
        self._marker = b"--" + boundary
        self._held = bytearray()
        self._part: Field | File | None = None
        self._value = bytearray()
        self._fields_bytes = 0

    async def receive(self, body: AsyncIterable[bytes]) -> None:
        taken = 0
        async for data in body:
            taken += len(data)
            if taken > self._max_bytes + FIELDS_BYTES:  # whatever it is that fills it
                raise too_large(self._max_bytes)
            for start in range(0, len(data), _SLICE_BYTES):
                self._held += data[start : start + _SLICE_BYTES]
                edge = self._edge()
                await self._feed(bytes(self._held[:edge]))
                del self._held[:edge]
        await self._feed(bytes(self._held))
        await self._feed(None)
        await self._form.file.flush()

    def _edge(self) -> int:
        """How much may be parsed: what follows could be part of a boundary.

        werkzeug (3.1) takes the line break in front of a boundary for data where it sees the
        boundary without the two bytes after it: a file, or a field, would end in a stray byte.
        """
        length = len(self._marker)
        edge = max(0, len(self._held) - length - 4)
        at = self._held.find(self._marker, max(0, edge - length - 2))
        while 0 <= at < edge + 2:
            if at + length + 2 > edge:
                return max(0, at - 2)
            at = self._held.find(self._marker, at + 1)
        return edge

    async def _feed(self, data: bytes | None) -> None:
        """Take in so much; None is the end, and raises where the form is not complete."""
        try:
            self._decoder.receive_data(data)
        except RequestEntityTooLarge:
            raise _malformed("the head of a part is too long") from None
        while not isinstance(event := self._next_event(), NeedData | Epilogue):
            await self._handle(event)

    def _next_event(self) -> Event:
        try:
            return self._decoder.next_event()
        except RequestEntityTooLarge:
            raise _malformed(f"it has more than {MOST_PARTS} parts") from None
        # The parser is made for browsers, and stumbles over what none of them sends.
        except (ValueError, AttributeError, LookupError, TypeError) as exc:
            raise _malformed("it ends too early, or its parts cannot be told apart") from exc

    async def _handle(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._begin(event)
        elif isinstance(event, Data):
            await self._add(event.data)
            if not event.more_data:
                self._end()

    def _begin(self, part: Field | File) -> None:
        name: str | None = part.name  # which is not always the string that its type promises
        if not name:
            raise _malformed("a part has no name")
        if name == "file":
            if self._form.has_file:
                raise Refused(
                    Refusal(400, "invalid_value", "There may be one file only.", param="file")
                )
            if isinstance(part, Field):
                message = "The part 'file' must be a file, with a filename."
                raise Refused(Refusal(400, "invalid_value", message, param="file"))
            self._form.has_file = True
        self._part = part

    async def _add(self, data: bytes) -> None:
        if self._part is None or not data:
            return
        if isinstance(self._part, Field):
            self._fields_bytes += len(data)
            if self._fields_bytes > FIELDS_BYTES:
                raise _malformed("its fields are too long")
            self._value += data
        elif self._part.name == "file":
            if self._form.file.size + len(data) > self._max_bytes:
                raise too_large(self._max_bytes)
            await self._form.file.write(data)

    def _end(self) -> None:
        if isinstance(self._part, Field):
            try:
                value = self._value.decode()
            except UnicodeDecodeError as exc:
                message = "The value is not UTF-8."
                raise Refused(
                    Refusal(400, "invalid_value", message, param=self._part.name)
                ) from exc
            self._form.fields.append((self._part.name, value))
        self._value.clear()
        self._part = None
