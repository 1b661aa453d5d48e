"""Client secrets: short-lived keys that a program hands to a browser in place of its token."""

from __future__ import annotations

import secrets
import string
from hashlib import blake2b
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "ek_"
"""Vendors' browser clients refuse a key without it."""

CHARACTERS = string.ascii_letters + string.digits
LENGTH = 40
"""238 bits. Letters and digits only: the key has to be an HTTP token, since browsers send it as a
subprotocol."""

Kind = Literal["realtime", "transcription"]


class Attached(msgspec.Struct, frozen=True):
    """What a secret brings along: the kind of session it opens, and the `session` object, as
    JSON, that such a session begins with; None where it is any, and as ever."""

    kind: Kind | None = None
    session: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes to keep it."""
        return len(self.session or b"")


class TooManySecrets(Exception):
    """No room for another secret; `retry_s` seconds from now the next one expires."""

    def __init__(self, retry_s: float) -> None:
        super().__init__("too many client secrets")
        self.retry_s = retry_s


class ClientSecrets:
    """The secrets that are valid now. Pure but for its randomness; `clock` gives seconds.

    Only keyed hashes are kept, and found by their hash: what a look-up takes tells nothing about
    a secret. At most `most` at once, with `most_bytes` of session objects: `make` refuses what is
    beyond, as a secret that was given out has to hold until it expires.
    """

    def __init__(self, clock: Callable[[], float], *, most: int, most_bytes: int) -> None:
        self._clock = clock
        self._most, self._most_bytes = most, most_bytes
        self._salt = secrets.token_bytes(32)
        self._attached: dict[bytes, Attached] = {}
        self._expiries: list[tuple[float, bytes]] = []  # a heap
        self._bytes = 0

    @property
    def count(self) -> int:
        """How many are valid now."""
        self._drop_expired()
        return len(self._attached)

    def make(self, attached: Attached, seconds: float) -> str:
        """A new secret, valid for `seconds` from now. Raises TooManySecrets."""
        self._drop_expired()
        size = attached.size_bytes
        if len(self._attached) >= self._most or self._bytes + size > self._most_bytes:
            first = self._expiries[0][0] if self._expiries else self._clock()
            raise TooManySecrets(first - self._clock())
        value = PREFIX + "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))
        digest = self._digest(value)
        self._attached[digest] = attached
        self._bytes += size
        heappush(self._expiries, (self._clock() + seconds, digest))
        return value

    def find(self, key: str) -> Attached | None:
        """What was attached to `key`; None where it is no secret, or no longer."""
        self._drop_expired()
        return self._attached.get(self._digest(key)) if key.startswith(PREFIX) else None

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._expiries and self._expiries[0][0] <= now:
            _, digest = heappop(self._expiries)
            self._bytes -= self._attached.pop(digest).size_bytes

    def _digest(self, key: str) -> bytes:
        return blake2b(
            key.encode("utf-8", "surrogateescape"), key=self._salt, digest_size=32
        ).digest()
