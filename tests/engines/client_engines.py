"""Small honest engines, one of each kind, for the tests of clients. Loaded in children."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from voiced.engines.ports import EngineInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.ports import Kind, Work


class _Small:
    kind: Kind

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.runs = 0

    def load(self) -> EngineInfo:
        return EngineInfo(kind=self.kind, name=type(self).__name__.lower(), version="1")

    def warm_up(self) -> None:
        pass


class Ear(_Small):
    """Hears how much it was told, with partials."""

    kind = "stt"

    def run(self, work: Work) -> Mapping[str, Any]:
        self.runs += 1
        heard_bytes = 0
        for chunk in work.chunks():
            heard_bytes += len(chunk)
            work.emit({"text": f"{heard_bytes}"})
        if work.params["language"] == "deadly":
            os._exit(9)
        words = (work.params["language"], work.params["prompt"], heard_bytes, self.runs)
        return {
            "text": " ".join(str(word) for word in words if word != ""),
            "confidence": 0.5,
            "duration_s": heard_bytes / 32_000,
        }


class Mind(_Small):
    """Repeats the last message and calls the first tool; asked to count, it counts in words."""

    kind = "llm"

    def run(self, work: Work) -> Mapping[str, Any]:
        messages, tools = work.params["messages"], work.params["tools"]
        if messages[-1]["content"] == "count":
            for number in range(work.params["max_output_tokens"]):
                work.emit({"text": f"{number} "})
            work.emit({"tool_call": {"call_id": "c1", "name": "stop", "arguments": "{}"}})
            work.emit({"text": "done"})
            return {"finish": "stop"}
        work.emit({"text": messages[-1]["content"]})
        call = {"call_id": "c1", "name": tools[0]["name"], "arguments": "{}"}
        work.emit({"tool_call": call})
        return {
            "finish": "tool_calls",
            "input_tokens": len(messages),
            "output_tokens": work.params["max_output_tokens"],
        }


class Mouth(_Small):
    """Says a part a letter; "endless" never ends, and "silent" never begins."""

    kind = "tts"

    def run(self, work: Work) -> Mapping[str, Any]:
        text = work.params["text"]
        pcm = f"{work.params['voice']}{work.params['speed']:g}".encode()
        cancelled = threading.Event()
        work.on_cancel(cancelled.set)
        if text == "silent":
            cancelled.wait()
        parts = 0
        while text == "endless" or parts < len(text):
            work.emit({"pcm": pcm, "sample_rate": 8000})
            parts += 1
            if text == "endless":
                cancelled.wait(0.05)
        return {"duration_s": 0.0}
