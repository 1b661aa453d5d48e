"""Why a request over the network failed, in a few words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def cause_of(exc: Exception) -> str:
    """The reason in a few words: the innermost that has any; the outer ones are often empty."""
    said = [str(error) for error in chain_of(exc) if str(error)]
    return said[-1] if said else type(exc).__name__


def chain_of(exc: BaseException) -> Iterator[BaseException]:
    """An error, what it comes from, and so on."""
    found: BaseException | None = exc
    while found is not None:
        yield found
        if isinstance(found, BaseExceptionGroup):  # an attempt for each address of a host
            found = found.exceptions[0]
        else:
            found = found.__cause__ or found.__context__


def is_hopeless(exc: Exception) -> bool:
    """Whether another try would fail for the same reason."""
    return any(isinstance(error, ssl.SSLCertVerificationError) for error in chain_of(exc))
