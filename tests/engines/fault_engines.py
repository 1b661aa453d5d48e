"""Engines that misbehave on request, for the tests of hosts. Loaded in child processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.engines.ports import EngineInfo
from voiced.errors import EngineFailed, ModelError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.ports import Work


class Obliging:
    """Does what the request's op says."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def load(self) -> EngineInfo:
        return EngineInfo(
            kind="llm",
            name="obliging",
            version="1",
            concurrency=int(self.options.get("concurrency", 1)),
        )

    def warm_up(self) -> None:
        pass

    def run(self, work: Work) -> Mapping[str, Any]:
        result: Mapping[str, Any] = getattr(self, work.op)(work)
        return result

    def echo(self, work: Work) -> Mapping[str, Any]:
        return {"echo": work.params}

    def listen(self, work: Work) -> Mapping[str, Any]:
        """Run until the audio ends; also the way to hold a slot."""
        return {"heard": b"".join(work.chunks())}

    def count(self, work: Work) -> Mapping[str, Any]:
        for number in range(work.params["parts"]):
            work.emit({"number": number})
        return {"counted": work.params["parts"]}

    def begin(self, work: Work) -> Mapping[str, Any]:
        """Emit one part, then run until the audio ends."""
        work.emit({"begun": True})
        return self.listen(work)

    def hooked(self, work: Work) -> Mapping[str, Any]:
        """Blocked in something that only the cancel hook ends."""
        stopped = threading.Event()
        work.on_cancel(stopped.set)
        work.emit({"begun": True})
        stopped.wait()
        work.raise_if_cancelled()
        return {}

    def deaf(self, work: Work) -> Mapping[str, Any]:
        work.emit({"begun": True})
        while True:
            time.sleep(60)

    def leave(self, work: Work) -> Mapping[str, Any]:
        os._exit(3)

    def segfault(self, work: Work) -> Mapping[str, Any]:
        os.kill(os.getpid(), signal.SIGSEGV)
        return self.deaf(work)

    def freeze(self, work: Work) -> Mapping[str, Any]:
        os.kill(os.getpid(), signal.SIGSTOP)
        return {}

    def garble(self, work: Work) -> Mapping[str, Any]:
        """Write to every pipe there is, the one for frames included."""
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2:
                try:
                    os.write(int(name), b"this is no frame at all")
                except OSError:
                    continue
        return {}

    def print_natively(self, work: Work) -> Mapping[str, Any]:
        os.write(1, b"<4>printed by a library\n")
        print("printed by Python")
        return {"stdin": os.read(0, 10)}

    def raise_private(self, work: Work) -> Mapping[str, Any]:
        raise ValueError("/private/path")

    def raise_quoting(self, work: Work) -> Mapping[str, Any]:
        """As a library does that tells what it could not read."""
        try:
            raise KeyError(work.params["text"])
        except KeyError as exc:
            raise ValueError(f"cannot read\n{work.params['text']}") from exc

    def raise_in_thread(self, work: Work) -> Mapping[str, Any]:
        thread = threading.Thread(target=self.raise_quoting, args=(work,))
        thread.start()
        thread.join()
        return {}

    def raise_and_leave(self, work: Work) -> Mapping[str, Any]:
        print(f"<7>{work.params['text']}", flush=True)
        os._exit(3)

    def raise_typed(self, work: Work) -> Mapping[str, Any]:
        raise EngineFailed("/private/path is bad", public="it is bad")

    def surroundings(self, work: Work) -> Mapping[str, Any]:
        return {
            "environ": dict(os.environ),
            "nice": os.nice(0),
            "comm": Path("/proc/self/comm").read_text().strip(),
            "cmdline": Path("/proc/self/cmdline").read_bytes().split(b"\0"),
            "session": os.getsid(0),
            "group": os.getpgid(0),
            "pid": os.getpid(),
            "modules": sorted(__import__("sys").modules),
            "fds": len(os.listdir("/proc/self/fd")),
        }

    def start_grandchild(self, work: Work) -> Mapping[str, Any]:
        import subprocess

        return {"pid": subprocess.Popen(["sleep", "600"]).pid}


class WithoutModel(Obliging):
    def load(self) -> EngineInfo:
        raise ModelError("/models/small.bin: no such file")


class WithBadOptions(Obliging):
    def load(self) -> EngineInfo:
        raise SettingsError("llm.sentences: line 3: no such slot")


class Raising(Obliging):
    def warm_up(self) -> None:
        raise RuntimeError("bad magic\nin header")


class Leaving(Obliging):
    def load(self) -> EngineInfo:
        print("cannot go on", flush=True)
        os._exit(3)


class Hanging(Obliging):
    def load(self) -> EngineInfo:
        while True:
            time.sleep(60)


class LoadsWhileFileExists(Obliging):
    """Can be told from outside whether a restart succeeds."""

    def load(self) -> EngineInfo:
        if not Path(self.options["path"]).exists():
            os._exit(4)
        return super().load()
