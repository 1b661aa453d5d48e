"""`GET` on the daemon's own port, for its figures: h11 over a Trio stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
import msgspec
import trio

from voiced.errors import ClientError

if TYPE_CHECKING:
    from voiced.client.address import Address

_READ_BYTES = 65_536


async def get_json(address: Address, path: str, *, within_s: float = 5.0) -> dict[str, Any]:
    """Fetch a JSON object, whatever the status; on a connection of its own.

    Raises `ClientError` where nothing answers in time or the answer is no JSON object.
    """
    body = b""
    try:
        with trio.fail_after(within_s):
            async with await trio.open_tcp_stream(address.host, address.port) as stream:
                body = await _get(stream, address.netloc, path)
    except trio.TooSlowError:
        raise ClientError(f"GET {path} was not answered within {within_s:g} s") from None
    except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError) as exc:
        raise ClientError(f"GET {path} failed: {exc}") from exc
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise ClientError(f"GET {path} did not answer with JSON") from exc


async def _get(stream: trio.SocketStream, netloc: str, path: str) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", netloc), ("Accept", "application/json"), ("Connection", "close")]
    await stream.send_all(
        connection.send(h11.Request(method="GET", target=path, headers=headers)) or b""
    )
    await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(_READ_BYTES))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("the connection ended early")
