"""From when until when a certificate is valid, as its file says."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL | re.ASCII)
_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0


class Validity(msgspec.Struct, frozen=True):
    """The two ends of a certificate's life, in UTC."""

    begins: datetime
    ends: datetime

    def fault(self, now: datetime) -> str:
        """What is wrong with it `now`, for a person; empty where nothing is."""
        if now > self.ends:
            return f"the certificate expired on {_shown(self.ends)}"
        if now < self.begins:
            return (
                f"the certificate is valid from {_shown(self.begins)} on, and by the clock of this"
                f" machine it is {_shown(now)}"
            )
        return ""


def read_validity(cert: Path) -> Validity | None:
    """The validity of the server's own certificate in `cert`, which is the first in the file.

    None where it cannot be told: OpenSSL takes some files that this does not read. Blocks.
    """
    try:
        found = _PEM.search(cert.read_text("ascii", "replace"))
        return None if found is None else validity_of(ssl.PEM_cert_to_DER_cert(found[0]))
    except (OSError, ValueError, IndexError):
        return None


def validity_of(der: bytes) -> Validity:
    """The validity in a DER certificate: RFC 5280, section 4.1. Raises ValueError, IndexError.

    The standard library tells it of a certificate that a peer has shown and that was verified,
    which an expired one cannot be.
    """
    certificate, _ = _open(der, 0, _SEQUENCE)
    fields, _ = _open(certificate, 0, _SEQUENCE)
    # version (optional), serialNumber, signature, issuer, validity
    at = _after(fields, 0) if fields[0] == _VERSION else 0
    for _ in range(3):
        at = _after(fields, at)
    validity, _ = _open(fields, at, _SEQUENCE)
    return Validity(_time(validity, 0), _time(validity, _after(validity, 0)))


def _time(data: bytes, at: int) -> datetime:
    """A Time: two digits of the year mean 1950 to 2049 (RFC 5280, section 4.1.2.5.1)."""
    text = _open(data, at, None)[0].decode("ascii")
    if data[at] == _UTC_TIME:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    elif data[at] != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _open(data: bytes, at: int, tag: int | None) -> tuple[bytes, int]:
    """The content of the element at that place, and where the next one begins."""
    if tag is not None and data[at] != tag:
        raise ValueError("not the element that was expected")
    length, begin = data[at + 1], at + 2
    if length >= 0x80:
        count = length & 0x7F
        length, begin = int.from_bytes(data[begin : begin + count]), begin + count
    if begin + length > len(data):
        raise ValueError("cut off")
    return data[begin : begin + length], begin + length


def _after(data: bytes, at: int) -> int:
    return _open(data, at, None)[1]


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
