"""Requests to the daemon's own port: h11 over a Trio stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
import msgspec
import trio

from voiced.errors import ClientError

if TYPE_CHECKING:
    from voiced.client.address import Address

_READ_BYTES = 65_536
_JSON = "application/json"


async def get_json(address: Address, path: str, *, within_s: float = 5.0) -> dict[str, Any]:
    """Fetch a JSON object, whatever the status; on a connection of its own.

    Raises `ClientError` where nothing answers in time or the answer is no JSON object.
    """
    _, body = await _exchange(address, "GET", path, within_s=within_s)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise ClientError(f"GET {path} did not answer with JSON") from exc


async def get_text(address: Address, path: str, *, within_s: float = 5.0) -> str:
    """Fetch a text; on a connection of its own. Raises `ClientError` where nothing answers in time,
    or with another status than 200."""
    status, body = await _exchange(address, "GET", path, within_s=within_s)
    if status != 200:
        raise ClientError(f"GET {path} was answered with {status}")
    return body.decode()


async def post(
    address: Address, path: str, body: bytes, *, content_type: str = _JSON, within_s: float
) -> bytes:
    """The body of the answer; on a connection of its own.

    Raises `ClientError` where nothing answers in time, or with another status than 200.
    """
    status, answer = await _exchange(
        address, "POST", path, body, content_type=content_type, within_s=within_s
    )
    if status != 200:
        told = answer[:200].decode(errors="replace")
        raise ClientError(f"POST {path} was answered with {status}: {told}")
    return answer


async def _exchange(
    address: Address,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    content_type: str = "",
    within_s: float,
) -> tuple[int, bytes]:
    headers = [("Host", address.netloc), ("Accept", "*/*"), ("Connection", "close")]
    if content_type:
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    request = h11.Request(method=method, target=path, headers=headers)
    try:
        with trio.fail_after(within_s):
            async with await trio.open_tcp_stream(address.host, address.port) as stream:
                return await _converse(stream, request, body)
    except trio.TooSlowError:
        raise ClientError(f"{method} {path} was not answered within {within_s:g} s") from None
    except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as exc:
        raise ClientError(f"{method} {path} failed: {exc}") from exc


async def _converse(
    stream: trio.SocketStream, request: h11.Request, body: bytes
) -> tuple[int, bytes]:
    connection = h11.Connection(h11.CLIENT)
    head = connection.send(request) or b""
    rest = connection.send(h11.Data(data=body)) if body else None
    await stream.send_all(head + (rest or b"") + (connection.send(h11.EndOfMessage()) or b""))
    status, answer = 0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(_READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            answer += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(answer)
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("the connection ended early")
