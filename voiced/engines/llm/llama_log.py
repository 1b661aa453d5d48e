"""The log of llama.cpp, kept as far as it tells why something failed."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, TypeAlias

Native: TypeAlias = Any
"""Something of llama.cpp's, whose bindings may be missing where types are checked."""

ERROR_LEVEL = 4
"""Of ggml's log; warnings tell of every stop, which is no news."""

CAUSE = "error loading model: "

MOST_ERRORS = 8


class LogTail:
    """Takes llama.cpp's log, and keeps the errors since `forget`, to name a cause."""

    def __init__(self, library: Native) -> None:
        self.errors: list[str] = []
        self._callback = library.llama_log_callback(self._take)
        library.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _take(self, level: int, text: bytes, _user_data: object) -> None:
        if level == ERROR_LEVEL and len(self.errors) < MOST_ERRORS:
            self.errors.append(" ".join(text.decode("utf-8", "replace").split()))

    def forget(self) -> None:
        """What fails from now on has other causes."""
        self.errors = []

    def cause(self) -> str:
        """Why it failed, in llama.cpp's words: what it says first, others follow from."""
        told = [line.partition(CAUSE)[2] for line in self.errors if CAUSE in line]
        return told[-1] if told else self.errors[0] if self.errors else "it does not say why"


@cache
def log_of(library: Native) -> LogTail:
    """The one log that llama.cpp has in a process. It lives as long: llama.cpp calls it whenever
    it likes, and a function that was freed would be the end."""
    return LogTail(library)
