"""How many threads native libraries may start, and how they wait.

This comes before NumPy: it imports nothing that would bring it.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

BEHIND_NUMPY = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

SPINS = 300 if platform.machine() in {"x86_64", "AMD64"} else 3_000
"""Rounds of libgomp's waiting loop: about 5 us. A round is a `pause` of some 15 ns on x86 (measured
there); `yield`, on Arm, takes a tenth of that or less (not measured)."""


def keep_numpy_single(environ: MutableMapping[str, str]) -> None:
    """Keep the libraries behind NumPy, not imported yet, to one thread each.

    Their threads spin for a while after each product of matrices and take the cores from the
    engine that goes on then: Whisper's encoder, right after its features, took 52 ms in place of
    31. A limit that the operator has set stays.
    """
    for key in BEHIND_NUMPY:
        environ.setdefault(key, "1")


def spin_briefly(environ: MutableMapping[str, str]) -> None:
    """Have threads of OpenMP that wait for one another sleep after some microseconds.

    llama.cpp's and CTranslate2's do so some hundred times for each token. By default they spin
    for milliseconds: wherever the one that is waited for has lost its core to another engine, the
    others hold on to theirs. With four times as much to do as there were cores, fifteen tokens of
    a prompt and five of an answer took 0.6 s in place of more than 3; with nothing else to do they
    take 0.106 s in place of 0.100, and 0.157 where threads never spin. What the operator has set
    stays.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
