"""How many threads native libraries may start. Imports nothing: this comes before NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

BEHIND_NUMPY = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def keep_numpy_single(environ: MutableMapping[str, str]) -> None:
    """Keep the libraries behind NumPy, not imported yet, to one thread each.

    Their threads spin for a while after each product of matrices and take the cores from the
    engine that goes on then: Whisper's encoder, right after its features, took 52 ms in place of
    31. A limit that the operator has set stays.
    """
    for key in BEHIND_NUMPY:
        environ.setdefault(key, "1")


def sleep_at_barriers(environ: MutableMapping[str, str]) -> None:
    """Have threads of OpenMP that wait for one another sleep.

    llama.cpp's and CTranslate2's do so some hundred times for each token. By default they spin,
    for milliseconds: wherever the one that is waited for has lost its core to another engine, the
    others hold on to theirs. With three times as much to do as there were cores, fifteen tokens of
    a prompt took 0.23 s in place of 2.7, and as much CPU time as on one thread. A policy that the
    operator has set stays.
    """
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
