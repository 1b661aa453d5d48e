"""Credentials and the start-up check, without a socket."""

from __future__ import annotations

import pytest

from tests.web.harness import REMOTE, make_secrets, make_settings
from voiced.errors import SettingsError
from voiced.realtime.secrets import Attached, ClientSecrets
from voiced.web.auth import Authenticator, Verdict, credential, credential_refusal, require_token
from voiced.web.guesses import ADDRESSES, WrongKeys


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_guard(
    token: str,
    *,
    token_on_loopback: bool = False,
    clock: Clock | None = None,
    client_secrets: ClientSecrets | None = None,
) -> Authenticator:
    clock = clock or Clock()
    return Authenticator(
        token,
        wrong_keys=WrongKeys(clock, 6),
        client_secrets=make_secrets() if client_secrets is None else client_secrets,
        token_on_loopback=token_on_loopback,
    )


GUARD = make_guard("s3cret")


@pytest.mark.parametrize("key", [None, "s3cret", "local", ""])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", ""])
def test_on_loopback_any_key_will_do(peer: str, key: str | None) -> None:
    assert GUARD.check(peer, {}, key) is Verdict.GRANTED


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        ("s3cret", Verdict.GRANTED),
        ("s3cre", Verdict.WRONG),
        ("s3cret ", Verdict.WRONG),
        ("geheim-\udce4", Verdict.WRONG),
        (None, Verdict.MISSING),
    ],
)
def test_elsewhere_only_the_token_will_do(key: str | None, verdict: Verdict) -> None:
    assert GUARD.check(REMOTE, {}, key) is verdict


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", ""])
def test_on_loopback_only_the_token_will_do_where_that_is_set(peer: str) -> None:
    guard = make_guard("s3cret", token_on_loopback=True)
    assert guard.check(peer, {}, None) is Verdict.MISSING
    assert guard.check(peer, {}, "local") is Verdict.WRONG
    assert guard.check(peer, {}, "s3cret") is Verdict.GRANTED


@pytest.mark.parametrize(
    "header",
    [
        *("forwarded", "via", "x-real-ip"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
    ],
)
def test_what_a_proxy_forwards_is_not_local(header: str) -> None:
    assert GUARD.check("127.0.0.1", {header: "whoever"}, None) is Verdict.MISSING
    assert GUARD.check("127.0.0.1", {header: "whoever"}, "s3cret") is Verdict.GRANTED


def test_without_a_token_no_key_opens_from_elsewhere() -> None:
    assert make_guard("").check(REMOTE, {}, "") is Verdict.WRONG
    assert make_guard("").check(REMOTE, {}, "local") is Verdict.WRONG


@pytest.mark.parametrize(
    ("headers", "protocols", "key"),
    [
        ({"authorization": "Bearer abc"}, (), "abc"),
        ({"authorization": "bearer  abc "}, (), "abc"),
        ({"authorization": "Basic abc"}, (), None),
        ({}, ("realtime", "openai-insecure-api-key.k1"), "k1"),
        ({"authorization": "Bearer abc"}, ("openai-insecure-api-key.k1",), "abc"),
        ({}, ("openai-insecure-api-key.null",), None),
        ({}, ("openai-insecure-api-key.undefined",), None),
        ({}, ("openai-insecure-api-key.",), None),
        ({}, (), None),
    ],
)
def test_where_a_key_is_looked_for(
    headers: dict[str, str], protocols: tuple[str, ...], key: str | None
) -> None:
    assert credential(headers, protocols) == key


def test_neither_token_nor_key_shows_in_what_is_kept_or_said() -> None:
    assert "s3cret" not in repr(vars(GUARD))
    assert b"s3cret" not in repr(vars(GUARD)).encode()
    for verdict in (Verdict.MISSING, Verdict.WRONG):
        refusal = credential_refusal(verdict)
        assert refusal is not None
        assert refusal.status == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.1.5", "::", "voiced.lan"])
def test_start_up_is_refused_where_others_can_connect_without_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="VOICED_AUTH__TOKEN") as caught:
        require_token(make_settings(server={"host": host}))
    assert "\n" not in str(caught.value)
    require_token(make_settings(server={"host": host}, token="s3cret" * 3))


@pytest.mark.parametrize("token", ["s3cret", "x" * 15, "a/b+c=" * 4, "(secret)" * 3, 'quote"' * 3])
def test_a_token_that_can_be_guessed_or_that_no_browser_can_send_is_refused_where_others_connect(
    token: str,
) -> None:
    with pytest.raises(SettingsError, match="openssl rand -hex 24") as caught:
        require_token(make_settings(server={"host": "0.0.0.0"}, token=token))
    said = str(caught.value)
    assert said.startswith("auth.token has ")
    assert token not in said
    assert "\n" not in said
    require_token(make_settings(token=token, token_on_loopback=True))


@pytest.mark.parametrize("token", ["0123456789abcdef", "!#$%&'*+-.^_`|~0", "Ab" * 100])
def test_a_token_that_is_long_enough_and_that_browsers_can_send_will_do(token: str) -> None:
    require_token(make_settings(server={"host": "0.0.0.0"}, token=token))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_start_up_on_loopback_needs_no_token(host: str) -> None:
    require_token(make_settings(server={"host": host}))


def test_start_up_is_refused_where_loopback_needs_a_token_that_is_not_set() -> None:
    with pytest.raises(SettingsError, match=r"auth\.token_on_loopback") as caught:
        require_token(make_settings(token_on_loopback=True))
    assert "VOICED_AUTH__TOKEN" in str(caught.value)
    require_token(make_settings(token_on_loopback=True, token="s3cret"))


def test_start_up_looks_at_the_sockets_that_somebody_else_opened() -> None:
    require_token(make_settings(server={"host": "0.0.0.0"}), ["127.0.0.1"])
    with pytest.raises(SettingsError):
        require_token(make_settings(), ["127.0.0.1", "0.0.0.0"])


@pytest.mark.parametrize("token", ["two words", "tab\there", "größer", "line\n"])
def test_a_token_that_no_client_can_send_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match=r"auth\.token") as caught:
        require_token(make_settings(token=token))
    assert token not in str(caught.value)


# -- wrong keys -----------------------------------------------------------------------------


def test_whoever_tries_too_many_keys_has_to_wait_and_nobody_else() -> None:
    clock = Clock()
    guard = make_guard("s3cret", clock=clock)
    for _ in range(6):
        assert guard.check(REMOTE, {}, "guess") is Verdict.WRONG
    # Not even the right one is looked at, or the answer would tell that it is.
    assert guard.check(REMOTE, {}, "s3cret") is Verdict.TOO_MANY
    assert guard.check_realtime(REMOTE, {}, "s3cret") == (Verdict.TOO_MANY, None)
    assert guard.check(REMOTE, {}, None) is Verdict.MISSING
    assert guard.check("192.0.2.8", {}, "s3cret") is Verdict.GRANTED
    assert guard.check("127.0.0.1", {}, None) is Verdict.GRANTED
    clock.now = 10.1
    assert guard.check(REMOTE, {}, "s3cret") is Verdict.GRANTED
    assert guard.check(REMOTE, {}, "guess") is Verdict.WRONG
    assert guard.check(REMOTE, {}, "s3cret") is Verdict.TOO_MANY
    clock.now = 100.0
    for _ in range(6):
        assert guard.check(REMOTE, {}, "guess") is Verdict.WRONG
    assert guard.check(REMOTE, {}, "guess") is Verdict.TOO_MANY


def test_the_guesses_of_one_address_come_no_faster_than_allowed() -> None:
    clock = Clock()
    guard = make_guard("s3cret", clock=clock)
    looked_at = 0
    for tenth in range(6000):  # ten minutes
        clock.now = tenth / 10
        looked_at += guard.check(REMOTE, {}, str(tenth)) is Verdict.WRONG
    assert 60 <= looked_at <= 66


def test_one_network_of_ipv6_is_one_address() -> None:
    guard = make_guard("s3cret")
    for host in range(6):
        assert guard.check(f"2001:db8::{host + 1:x}", {}, "guess") is Verdict.WRONG
    assert guard.check("2001:db8::ffff", {}, "s3cret") is Verdict.TOO_MANY
    assert guard.check("2001:db8:0:1::1", {}, "s3cret") is Verdict.GRANTED


def test_addresses_without_number_fill_no_memory() -> None:
    keys = WrongKeys(Clock(), 1)
    for i in range(ADDRESSES + 10):
        keys.count(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
    assert len(keys._buckets) == ADDRESSES
    keys.count("10.0.16.9")  # the last of them, once more
    assert keys.wait_s("10.0.16.9") > 0
    assert keys.wait_s("10.0.0.0") == 0.0


# -- client secrets -------------------------------------------------------------------------


def test_a_client_secret_opens_the_realtime_socket_and_nothing_else() -> None:
    clock = Clock()
    secrets = ClientSecrets(clock, most=9, most_bytes=99)
    guard = make_guard("s3cret", token_on_loopback=True, client_secrets=secrets)
    attached = Attached("realtime", b'{"type":"realtime"}')
    key = secrets.make(attached, 10)
    for peer in (REMOTE, "127.0.0.1"):
        assert guard.check_realtime(peer, {}, key) == (Verdict.GRANTED, attached)
        assert guard.check(peer, {}, key) is Verdict.WRONG
        assert guard.check_realtime(peer, {}, "s3cret") == (Verdict.GRANTED, None)
        assert guard.check_realtime(peer, {}, key + "x") == (Verdict.WRONG, None)
    clock.now = 10.0
    assert guard.check_realtime(REMOTE, {}, key) == (Verdict.WRONG, None)


def test_on_loopback_a_client_secret_brings_its_session_too() -> None:
    secrets = make_secrets()
    guard = make_guard("", client_secrets=secrets)
    attached = Attached("realtime", b'{"type":"realtime"}')
    key = secrets.make(attached, 10)
    assert guard.check_realtime("127.0.0.1", {}, key) == (Verdict.GRANTED, attached)
    assert guard.check_realtime("127.0.0.1", {}, "ek_local") == (Verdict.GRANTED, None)
    assert guard.check_realtime("127.0.0.1", {}, None) == (Verdict.GRANTED, None)
