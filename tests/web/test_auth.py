"""Credentials and the start-up check, without a socket."""

from __future__ import annotations

import pytest

from tests.web.harness import REMOTE, make_settings
from voiced.errors import SettingsError
from voiced.web.auth import Authenticator, Verdict, credential, credential_refusal, require_token

GUARD = Authenticator("s3cret")


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
    guard = Authenticator("s3cret", token_on_loopback=True)
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
    assert Authenticator("").check(REMOTE, {}, "") is Verdict.WRONG
    assert Authenticator("").check(REMOTE, {}, "local") is Verdict.WRONG


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
    require_token(make_settings(server={"host": host}, token="s3cret"))


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
