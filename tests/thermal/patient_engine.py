"""A language model that goes on for as long as a test wants. Loaded in a child process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.engines.ports import EngineInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.ports import Work

LOOK_S = 0.01


class PatientLlm:
    """Says `One. ` at once, and `Two.` when there is a file named like the user's last words in
    the directory of the option `gate`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._gate = Path(options["options"]["gate"])

    def load(self) -> EngineInfo:
        return EngineInfo(kind="llm", name="patient", version="1", concurrency=8)

    def warm_up(self) -> None:
        pass

    def run(self, work: Work) -> Mapping[str, Any]:
        asked = [m["content"] for m in work.params["messages"] if m["role"] == "user"][-1]
        text = asked if isinstance(asked, str) else asked[0]["text"]
        cancelled = threading.Event()
        work.on_cancel(cancelled.set)
        work.emit({"text": "One. "})
        while not (self._gate / text).exists() and not cancelled.wait(LOOK_S):
            pass
        work.emit({"text": "Two."})  # raises where it was cancelled
        return {"finish": "stop", "input_tokens": 1, "output_tokens": 2}
