"""The three standard streams, which a program may be started without."""

from __future__ import annotations

import os
import sys


def open_missing_streams() -> None:
    """Open /dev/null in the place of each standard stream that was closed at the start.

    To be called before anything else is opened: the next file or socket would get that number,
    and be written to by whatever writes to standard error, native code and children included.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, and so this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
