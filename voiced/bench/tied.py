"""`python -m MODULE …` for as long as its starter lives: `python -m voiced.bench.tied MODULE …`.

Standard input is a pipe into which nobody writes. It ends when the starter does, however that was,
and then this process ends at once. The kernel's parent-death signal would not do: it comes when the
thread ends that started the process, and Trio starts processes in threads that end when idle.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def end_with_starter() -> None:
    """Watch standard input, in a thread, and leave an empty one in its place."""
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=_watch, args=(pipe,), name="starter", daemon=True).start()


def _watch(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    # What it has started ends with it, as after any other sudden end.
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with_starter()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
