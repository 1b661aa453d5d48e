"""One server, asked over HTTP/1.1: bounded, under deadlines, and let go when a scope is cancelled.

Nothing that httpx raises leaves this module. Its streams are async generators within each other,
of which closing the outer one leaves the inner ones to the garbage collector (Trio warns of each);
so a body that is left early is read once more under a scope that is cancelled already, which
unwinds all of them in order and closes the connection.
"""

from __future__ import annotations

import ssl
from contextlib import aclosing, asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, TypeVar

import httpx2
import msgspec
import trio

from voiced import __version__
from voiced.errors import ProviderFailed, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from voiced.settings import Provider as ProviderSettings

_ResultT = TypeVar("_ResultT")

CONNECTIONS = 16
"""Requests to one server at once; one more goes to the next server."""

IDLE_CONNECTIONS = 2
IDLE_S = 60.0
"""A connection is kept that long for the next turn: a handshake over the internet costs 100 ms."""

DRAIN_S = 0.05
DRAIN_BYTES = 4096
"""What is waited for behind the last word of an answer, so that its connection can be kept."""

ERROR_BYTES = 4096

ANY_MODEL = "default"
"""The name of a model where the settings give none: requests must have one, and servers with a
single model do not look at it."""

REQUEST_AT_FAULT = frozenset({400, 413, 414, 415, 422})
"""Answers that say nothing against the server: another one may take the same request."""


class Deadlines:
    """The waiting of one request: up to the first word, between words, and in all.

    Only time spent waiting for the server counts. A reply is read as fast as it is heard, and a
    listener is not the server's fault.
    """

    def __init__(self, *, first_s: float, stall_s: float, total_s: float) -> None:
        self._stall_s = stall_s
        self._left_s = first_s
        self._total_s = self._total_left_s = total_s
        self._begun = False
        self.late = "it did not begin to answer in time"
        """What is wrong where the first word does not come in time."""

    @property
    def waited_s(self) -> float:
        """How long the server was waited for so far."""
        return self._total_s - self._total_left_s

    def begun(self) -> None:
        """The first word is there."""
        self._begun = True
        self._left_s = self._stall_s

    async def wait(self, what: Callable[[], Awaitable[_ResultT]]) -> _ResultT:
        """Wait for `what`. Raises `ProviderFailed` where a deadline passes."""
        began = trio.current_time()
        with trio.move_on_after(max(0.0, min(self._left_s, self._total_left_s))):
            result = await what()
            waited = trio.current_time() - began
            self._total_left_s -= waited
            self._left_s = self._stall_s if self._begun else self._left_s - waited
            return result
        if self._total_left_s <= self._left_s:
            raise ProviderFailed("it took too long over its answer")
        if self._begun:
            raise ProviderFailed("it stopped in the middle of its answer")
        raise ProviderFailed(self.late)


class Body:
    """The body of an answer. Bounded by `most_bytes`."""

    def __init__(
        self, response: httpx2.Response, portions: AsyncIterator[bytes], most_bytes: int
    ) -> None:
        self.content_type = response.headers.get("content-type", "").partition(";")[0].strip()
        self._portions = portions
        self._left_bytes = most_bytes

    async def receive(self, deadlines: Deadlines) -> bytes:
        """The next portion; b"" at the end. Raises `ProviderFailed`."""
        return await deadlines.wait(self._receive)

    async def whole(self, deadlines: Deadlines) -> bytes:
        """All that is left."""
        portions = []
        while portion := await self.receive(deadlines):
            portions.append(portion)
        return b"".join(portions)

    async def drain(self) -> None:
        """Wait a moment for the end, after which the connection can serve again."""
        self._left_bytes = DRAIN_BYTES
        with trio.move_on_after(DRAIN_S):
            with suppress(ProviderFailed):
                while await self._receive():
                    pass

    async def leave(self) -> None:
        """Unwind what is not at its end: see the module."""
        with trio.CancelScope() as scope, suppress(ProviderFailed), mapped():
            scope.cancel(reason="the answer is not wanted any more")
            while await anext(self._portions, b""):
                pass

    async def _receive(self) -> bytes:
        with mapped():
            portion = await anext(self._portions, b"")
        self._left_bytes -= len(portion)
        if self._left_bytes < 0:
            raise ProviderFailed("its answer is too long")
        return portion


class Peer:
    """A server and the way to it. Made by `open_peer`."""

    def __init__(self, client: httpx2.AsyncClient, settings: ProviderSettings) -> None:
        self._client = client
        self._settings = settings

    def deadlines(self) -> Deadlines:
        """Those of a new request."""
        s = self._settings
        return Deadlines(first_s=s.first_s, stall_s=s.stall_s, total_s=s.total_s)

    @asynccontextmanager
    async def post(
        self,
        path: str,
        deadlines: Deadlines,
        *,
        most_bytes: int,
        content: bytes,
        content_type: str = "application/json",
    ) -> AsyncIterator[Body]:
        """Ask, and yield the body of the answer if that is a success.

        Raises `ProviderFailed` for any other answer. Leaving the context closes the connection,
        unless the answer was read to its end.
        """
        request = self._client.build_request(
            "POST", path, content=content, headers={"Content-Type": content_type}
        )
        async with self._answer(request, deadlines, most_bytes) as body:
            yield body

    async def check(self) -> None:
        """Ask for the list of models, whatever it holds. Raises `ProviderFailed` where the server
        is not there, is broken, or refuses the key."""
        limit = self._settings.connect_s
        deadlines = Deadlines(first_s=limit, stall_s=limit, total_s=2 * limit)
        request = self._client.build_request("GET", "models")
        try:
            async with self._answer(request, deadlines, ERROR_BYTES):
                pass
        except ProviderFailed as error:
            if not error.absent:  # a server for one purpose may have no list
                raise

    @asynccontextmanager
    async def _answer(
        self, request: httpx2.Request, deadlines: Deadlines, most_bytes: int
    ) -> AsyncIterator[Body]:
        async def send() -> httpx2.Response:
            with mapped():
                return await self._client.send(request, stream=True)

        response = await deadlines.wait(send)
        try:
            async with aclosing(response.aiter_raw()) as portions:
                body = Body(response, portions, most_bytes)
                try:
                    if not response.is_success:
                        raise await refusal(response, body)
                    yield body
                finally:
                    await body.leave()
        finally:
            await response.aclose()


@asynccontextmanager
async def open_peer(settings: ProviderSettings, key: str) -> AsyncIterator[Peer]:
    """The way to a server, with a pool of connections that ends with the context.

    Redirects are not followed and compressed answers not asked for; the environment (proxies,
    .netrc) is not looked at. Raises `SettingsError` where the authority of its certificate cannot
    be read.
    """
    headers = {"User-Agent": f"voiced/{__version__}", "Accept-Encoding": "identity"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    client = httpx2.AsyncClient(
        base_url=settings.url,
        headers=headers,
        verify=authorities(settings),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(None, connect=settings.connect_s),
        limits=httpx2.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_S,
        ),
    )
    async with client:
        yield Peer(client, settings)


def authorities(settings: ProviderSettings) -> ssl.SSLContext:
    """Whose certificates are believed: those of a PEM file, or else the system's; nobody's where
    none is to be shown."""
    if not settings.url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=settings.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{settings.ca}: not a PEM file of certificates: {error}") from error


class mapped:
    """What httpx raises as `ProviderFailed`, told without anything that was sent or received."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, httpx2.HTTPError | httpx2.StreamError):
            unreached = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise ProviderFailed(reason(error), unreached=unreached) from error


def reason(error: Exception) -> str:
    """Why the server could not be talked to."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "it cannot be reached in time"
    if isinstance(error, httpx2.ConnectError):
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return f"its certificate is not trusted: {cause.verify_message}"
            cause = cause.__cause__ or cause.__context__
        return "it cannot be reached"
    if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError):
        return "the connection broke"
    return f"the request failed: {type(error).__name__}"


class _ErrorBody(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _Refusal(msgspec.Struct):
    error: _ErrorBody | None = None


async def refusal(response: httpx2.Response, body: Body) -> ProviderFailed:
    """The failure that an answer without success is. Of its text only a code is told: the rest
    may quote the request."""
    status = response.status_code
    if response.is_redirect:
        return ProviderFailed(f"it redirects (status {status}), and that is not followed")
    deadlines = Deadlines(first_s=1.0, stall_s=1.0, total_s=1.0)
    try:
        text = await body.receive(deadlines)
    except ProviderFailed:
        text = b""
    said = f"it answered with status {status}{code_of(text[:ERROR_BYTES])}"
    if status in (401, 403):
        return ProviderFailed(f"{said}: it refuses the key")
    if status == 404:
        return ProviderFailed(f"{said}: it knows no such path or model", absent=True)
    if status in REQUEST_AT_FAULT:
        return ProviderFailed(said, counts=False)
    return ProviderFailed(
        said, pause_s=pause_of(response.headers) if status in (429, 503) else None
    )


def code_of(text: bytes) -> str:
    """The code in an error body, where that is a plain word; with a space in front."""
    try:
        error = msgspec.json.decode(text, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    word = str((error and (error.code or error.type)) or "")
    plain = word.replace("_", "").replace("-", "").replace(".", "")
    return f" {word}" if plain.isalnum() and word.isascii() and len(word) <= 64 else ""


def pause_of(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, where there is a sensible one (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (TypeError, ValueError):
        return None
