"""Who may use the daemon: anyone on this machine, and whoever presents the bearer token.

Those on this machine need the token too where `auth.token_on_loopback` says so.
"""

from __future__ import annotations

import enum
import hmac
import secrets
import string
from hashlib import blake2b
from typing import TYPE_CHECKING

from voiced.errors import SettingsError
from voiced.web.refusal import Refusal
from voiced.web.trust import is_local

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voiced.realtime.secrets import Attached, ClientSecrets
    from voiced.settings import Settings
    from voiced.web.guesses import WrongKeys

KEY_PROTOCOL = "openai-insecure-api-key."
SHORTEST_TOKEN = 16
# A subprotocol is a token of HTTP: RFC 6455, section 4.1, and RFC 9110, section 5.6.2.
SUBPROTOCOL_CHARACTERS = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
ANOTHER_TOKEN = "choose another, for example with `openssl rand -hex 24`"
# A proxy on this machine hides who is asking, so what it forwards is not local. One that adds none
# of these, such as a plain TCP tunnel, cannot be told apart: that is for auth.token_on_loopback.
FORWARDING_HEADERS = (
    *("forwarded", "via", "x-real-ip"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
)


class Verdict(enum.Enum):
    """What became of a credential."""

    GRANTED = enum.auto()
    MISSING = enum.auto()
    WRONG = enum.auto()
    TOO_MANY = enum.auto()


def require_token(settings: Settings, addresses: Iterable[str] | None = None) -> None:
    """Refuse to start where a token is needed and none is set, or one that will not do.

    It is needed where other machines could connect, and for `auth.token_on_loopback`. In the first
    case it has to be hard to guess, and one that a browser can send, whose WebSocket has no place
    for it but a subprotocol.
    `addresses` are those of sockets opened by somebody else (systemd); by default `server.host`
    counts. A name other than `localhost` counts as reachable. Raises SettingsError.
    """
    token = settings.auth.token
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise SettingsError(
            "auth.token has a space or a character outside printable ASCII, which no client can"
            f" send; {ANOTHER_TOKEN}"
        )
    remedy = "set VOICED_AUTH__TOKEN or the credential voiced-token"
    if settings.auth.token_on_loopback and not token:
        raise SettingsError(f"auth.token_on_loopback is true, but no token is set; {remedy}")
    hosts = [settings.server.host] if addresses is None else list(addresses)
    exposed = [host or "all addresses" for host in hosts if not _is_loopback_host(host)]
    if exposed and not token:
        raise SettingsError(
            f"server.host is {exposed[0]}, which other machines can reach, but no token is set;"
            f' {remedy}, or server.host = "127.0.0.1"'
        )
    if exposed and len(token) < SHORTEST_TOKEN:
        raise SettingsError(
            f"auth.token has {len(token)} characters, and server.host is {exposed[0]}, where others"
            f" can try to guess it: {SHORTEST_TOKEN} are the least; {ANOTHER_TOKEN}"
        )
    if exposed and not set(token) <= SUBPROTOCOL_CHARACTERS:
        raise SettingsError(
            "auth.token has a character, such as / or =, that a browser cannot send with a"
            f" WebSocket; {ANOTHER_TOKEN}"
        )


def _is_loopback_host(host: str) -> bool:
    # Empty means every interface here, unlike for a peer, where it means a Unix socket.
    return host.lower() == "localhost" or (host != "" and is_local(host))


def credential(headers: Mapping[str, str], protocols: Iterable[str] = ()) -> str | None:
    """Return the key that a client presents, or None.

    `Authorization: Bearer` comes first, then the browser's subprotocol. Some clients without a
    key send the words `null` or `undefined`; those are no key.
    """
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    keys = [key.strip()] if scheme.lower() == "bearer" else []
    keys += [p.removeprefix(KEY_PROTOCOL) for p in protocols if p.startswith(KEY_PROTOCOL)]
    return next((key for key in keys if key not in {"", "null", "undefined"}), None)


class Authenticator:
    """Decides whether a peer may use the daemon. Keeps a keyed hash of the token, not the token.

    `wrong_keys` counts what was tried; `client_secrets` has the keys that open `/v1/realtime`
    and nothing else.
    """

    def __init__(
        self,
        token: str,
        *,
        wrong_keys: WrongKeys,
        client_secrets: ClientSecrets,
        token_on_loopback: bool = False,
    ) -> None:
        self._wrong_keys = wrong_keys
        self._client_secrets = client_secrets
        self._trusts_loopback = not token_on_loopback
        self._salt = secrets.token_bytes(32)
        self._digest = self._hash(token) if token else None

    def check(self, peer: str, headers: Mapping[str, str], key: str | None) -> Verdict:
        """Return the verdict on `key` from `peer` (an IP address, empty for a Unix socket).

        On loopback any key will do, or none: clients are made to send one. That ends where a
        header says that the request was forwarded, and with `token_on_loopback`.
        """
        if self._is_trusted(peer, headers):
            return Verdict.GRANTED
        return self._judge(peer, key, or_secret=False)[0]

    def check_realtime(
        self, peer: str, headers: Mapping[str, str], key: str | None
    ) -> tuple[Verdict, Attached | None]:
        """Return the verdict on `key` for a WebSocket, where a client secret will do as well.

        With it comes what is attached to the secret, also on loopback, where it is not needed.
        """
        if self._is_trusted(peer, headers):
            return Verdict.GRANTED, None if key is None else self._client_secrets.find(key)
        return self._judge(peer, key, or_secret=True)

    def _is_trusted(self, peer: str, headers: Mapping[str, str]) -> bool:
        forwarded = any(name in headers for name in FORWARDING_HEADERS)
        return self._trusts_loopback and is_local(peer) and not forwarded

    def _judge(
        self, peer: str, key: str | None, *, or_secret: bool
    ) -> tuple[Verdict, Attached | None]:
        if key is None:
            return Verdict.MISSING, None
        # Before the key is looked at: else the answer would tell whether it is the right one.
        if self._wrong_keys.wait_s(peer):
            return Verdict.TOO_MANY, None
        # Digests of equal length are compared, so that time tells nothing about the token.
        if self._digest is not None and hmac.compare_digest(self._hash(key), self._digest):
            return Verdict.GRANTED, None
        attached = self._client_secrets.find(key) if or_secret else None
        if attached is not None:
            return Verdict.GRANTED, attached
        self._wrong_keys.count(peer)
        return Verdict.WRONG, None

    def _hash(self, key: str) -> bytes:
        return blake2b(key.encode("utf-8", "surrogateescape"), key=self._salt).digest()


def credential_refusal(verdict: Verdict) -> Refusal | None:
    """Return how a bad credential is refused, as HTTP 401 and as the Realtime error; or None."""
    challenge = (("WWW-Authenticate", "Bearer"),)
    match verdict:
        case Verdict.GRANTED:
            return None
        case Verdict.MISSING:
            message = (
                "You did not provide an API key. Send `Authorization: Bearer KEY`; a browser's"
                f" WebSocket offers the subprotocol `{KEY_PROTOCOL}KEY`."
            )
            return Refusal(401, None, message, challenge)
        case Verdict.WRONG:
            message = (
                "Incorrect API key provided. It must be the token of this voiced server; a client"
                " secret opens /v1/realtime alone, until it expires."
            )
            return Refusal(401, "invalid_api_key", message, challenge)
        case Verdict.TOO_MANY:
            message = "Too many incorrect API keys from this address; wait before the next try."
            return Refusal(429, "rate_limit_exceeded", message)
