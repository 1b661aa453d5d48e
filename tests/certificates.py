"""A certificate authority of the test's own, and what it certified."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import trustme


class Certified(msgspec.Struct, frozen=True):
    """PEM files: the authority that a client must trust, the server's certificate, its key."""

    ca: Path
    cert: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        """The keys of section `server` that turn TLS on."""
        return {"tls_cert": str(self.cert), "tls_key": str(self.key)}

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


def certify(folder: Path, *names: str, begins_days: float = 0, ends_days: float = 365) -> Certified:
    """A new authority, and a certificate for `names`: by default localhost and 127.0.0.1.

    It is valid from so many days from now, until so many days from now.
    """
    folder.mkdir(exist_ok=True)
    made = Certified(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority = trustme.CA()
    now = datetime.now(UTC)
    issued = authority.issue_cert(
        *(names or ("localhost", "127.0.0.1")),
        not_before=now + timedelta(days=begins_days, hours=-1),
        not_after=now + timedelta(days=ends_days),
    )
    authority.cert_pem.write_to_path(made.ca)
    made.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(made.key)
    return made
