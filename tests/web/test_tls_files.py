"""The certificate's files: what is wrong with them is said in one line, with a remedy."""

from __future__ import annotations

import ssl
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.certificates import Certified, certify
from tests.patience import CEILING_S
from voiced.cli.checks import check_certificate
from voiced.errors import SettingsError
from voiced.settings import Server
from voiced.web.tls import FileCertificate, find_certificate
from voiced.web.validity import read_validity, validity_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return certify(tmp_path / "made")


def complaint(cert: Path, key: Path) -> str:
    """What is said of the two files: one line that names a key of the settings and a file."""
    with pytest.raises(SettingsError) as caught:
        find_certificate(Server(tls_cert=str(cert), tls_key=str(key)))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_tls_is_off_until_a_certificate_is_named(certified: Certified) -> None:
    assert find_certificate(Server()) is None
    assert find_certificate(msgspec.convert(certified.settings, Server)) is not None


def test_one_file_may_hold_both(certified: Certified, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certified.key.read_bytes() + certified.cert.read_bytes())
    assert find_certificate(Server(tls_cert=str(both), tls_key=str(both))) is not None


@pytest.mark.parametrize("given", ["tls_cert", "tls_key"])
def test_one_without_the_other_is_an_error(given: str, certified: Certified) -> None:
    with pytest.raises(SettingsError, match=r"server\.tls_cert .*server\.tls_key|.*tls_key .*cert"):
        find_certificate(msgspec.convert({given: certified.settings[given]}, Server))


def test_a_file_that_is_missing_is_named(certified: Certified, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    text = complaint(absent, certified.key)
    assert "server.tls_cert" in text
    assert str(absent) in text
    assert "No such file" in text
    assert "server.tls_key" in complaint(certified.cert, absent)
    assert "directory" in complaint(tmp_path, certified.key)


def test_a_file_that_holds_no_pem_is_named(certified: Certified, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("not PEM at all")
    text = complaint(nonsense, certified.key)
    assert "server.tls_cert" in text
    assert str(nonsense) in text
    text = complaint(certified.cert, nonsense)
    assert "server.tls_key" in text
    assert str(nonsense) in text
    assert "server.tls_key" in complaint(certified.cert, certified.cert)
    assert "server.tls_cert" in complaint(certified.key, certified.key)


def test_a_key_of_another_certificate_is_told(certified: Certified, tmp_path: Path) -> None:
    other = certify(tmp_path / "other")
    text = complaint(certified.cert, other.key)
    assert "server.tls_key" in text
    assert "not the key of" in text


def test_a_key_with_a_password_asks_nobody(certified: Certified, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", str(certified.key), "-aes256", "-passout", "pass:x"]
    subprocess.run([*command, "-out", str(locked)], check=True, timeout=CEILING_S)
    assert "password" in complaint(certified.cert, locked)


def test_a_key_that_is_too_short_is_told(tmp_path: Path) -> None:
    cert, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
        timeout=10,
    )
    text = complaint(cert, key)
    assert "too weak" in text
    assert str(cert) in text


def test_reading_again_takes_the_new_or_keeps_the_old(certified: Certified, tmp_path: Path) -> None:
    certificate = FileCertificate(certified.cert, certified.key)
    first = certificate.context
    certified.cert.write_text("half written")
    with pytest.raises(SettingsError):
        certificate.reload()
    assert certificate.context is first
    new = certify(tmp_path / "new")
    certified.cert.write_bytes(new.cert.read_bytes())
    certified.key.write_bytes(new.key.read_bytes())
    certificate.reload()
    assert certificate.context is not first


# -- its time -------------------------------------------------------------------------------


def settled(certified: Certified) -> FileCertificate:
    certificate = find_certificate(msgspec.convert(certified.settings, Server))
    assert certificate is not None
    return certificate


def test_the_validity_is_what_the_standard_library_reads(certified: Certified) -> None:
    shown = ssl._ssl._test_decode_cert(str(certified.cert))  # type: ignore[attr-defined]
    validity = read_validity(certified.cert)
    assert validity is not None
    for name, moment in (("notBefore", validity.begins), ("notAfter", validity.ends)):
        assert ssl.cert_time_to_seconds(shown[name]) == moment.timestamp()
    assert settled(certified).warning() == ""


def test_a_time_beyond_2049_is_read_too(tmp_path: Path) -> None:
    validity = read_validity(certify(tmp_path, ends_days=40_000).cert)
    assert validity is not None
    assert validity.ends.year > 2100


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [(-30, -1, "expired on"), (2, 30, "is valid from"), (-30, 0.5, "")],
)
def test_one_that_clients_refuse_is_told(
    begins: float, ends: float, said: str, tmp_path: Path
) -> None:
    made = certify(tmp_path, begins_days=begins, ends_days=ends)
    warning = settled(made).warning()
    assert said in warning
    assert bool(warning) is bool(said)
    if said:
        assert "renew it" in warning


def test_where_the_time_cannot_be_told_nothing_is_said_of_it(
    certified: Certified, tmp_path: Path
) -> None:
    der = ssl.PEM_cert_to_DER_cert(certified.cert.read_text())
    for cut in range(len(der)):
        with suppress(ValueError, IndexError):
            assert validity_of(der[:cut]) == validity_of(der)
    broken = tmp_path / "broken.pem"
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        broken.write_text(text)
        assert read_validity(broken) is None


def test_doctor_warns_two_weeks_before_and_fails_afterwards(certified: Certified) -> None:
    server = msgspec.convert(certified.settings, Server)
    now = datetime.now(UTC)
    found = [check_certificate(server, now + timedelta(days=d)) for d in (0, 350, 352, 366, -2)]
    assert [f.state for f in found] == ["ok", "ok", "note", "failed", "failed"]
    assert "in 12 days" in found[2].detail
    for failure in found[3:]:
        assert "renew it" in failure.remedy
