"""Whether all engines together fit the memory that is free, before the first of them loads.

Each engine checks its own model as it loads, and cannot know of the others, which load at the same
time and find the same memory free. Nor would it help to load them one after the other: the weights
that llama.cpp maps from its file are cache to the kernel, and so counted as free.

This is reckoned once, as the daemon starts. An engine that is started again later takes what its
process before has given back; it looks after itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from voiced.engines.memory import free_memory
from voiced.errors import ModelError, VoicedError
from voiced.models.gguf import read_gguf
from voiced.models.naming import KEYS, find_model
from voiced.models.need import (
    DAEMON_BYTES,
    MIB,
    SMALL_BYTES,
    Need,
    llama_need,
    piper_need,
    show_mib,
    whisper_need,
)
from voiced.models.recommended import SETS
from voiced.models.shape import ONNX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from voiced.engines.spec import EngineSpec

WHISPER_FILE = "model.bin"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the engines need: those with a model each, and `rest_bytes` for all others and the
    daemon's own work."""

    needs: tuple[Need, ...]
    rest_bytes: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.rest_bytes + sum(need.bytes for need in self.needs)

    def check(self, free_bytes: int) -> None:
        """Raise `ModelError`, in one line, where `shortage` tells one."""
        shortage = self.shortage(free_bytes)
        if shortage is not None:
            raise ModelError("; ".join(shortage))

    def shortage(self, free_bytes: int) -> tuple[str, str] | None:
        """Where all of them together do not fit what is free: that they do not, and what to do.
        Without any model nothing is refused: what voiced needs then is little, and a machine may
        have swap for it."""
        if len(self.needs) == 1 and self.needs[0].bytes > free_bytes:
            return self.needs[0].shortage(free_bytes), self.needs[0].remedy
        if not self.needs or self.bytes <= free_bytes:
            return None
        each = "; ".join(f"{need.what} {show_mib(need.bytes)}" for need in self.needs)
        return (
            f"the engines need about {show_mib(self.bytes)} MiB of memory together ({each}; all "
            f"else {show_mib(self.rest_bytes)}), and {free_bytes // MIB:,} MiB are free",
            self._remedy(free_bytes),
        )

    def _remedy(self, free_bytes: int) -> str:
        """The one model to put in place of another, so that all fit: the largest such, for the
        engine that needs most. With another context that may be one's own model."""
        engines = {need.engine for need in self.needs}
        context = ", or lower llm.context or llm.conversations" if "llama" in engines else ""
        for need in sorted(self.needs, key=lambda need: -need.bytes):
            room = free_bytes - self.bytes + need.bytes
            known = {c.name: c for models in SETS for c in models.choices}.values()
            sizes = {c: c.memory_with(need.tokens) for c in known if c.engine == need.engine}
            if fits := [(size, choice) for choice, size in sizes.items() if size <= room]:
                size, choice = max(fits, key=lambda fit: fit[0])
                return (
                    f"choose a smaller one for {KEYS[need.engine]}: {choice.name}, which needs "
                    f"about {show_mib(size)} MiB, would fit (voiced models add {choice.source})"
                    f"{context}"
                )
        return (
            f"choose smaller ones: `voiced models recommend` names some that fit together{context}"
        )


async def check_budget(specs: Sequence[EngineSpec]) -> None:
    """Raise `ModelError` where these engines do not fit the memory that is free.

    The disk that the heads of models are read from may be slow; cancelling does not wait for it.
    """
    budget = await trio.to_thread.run_sync(
        reckon, specs, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
    )
    budget.check(free_memory())


def reckon(specs: Iterable[EngineSpec]) -> Budget:
    """What these engines need. Looks at their models' files and reads the heads of some.

    A model that is missing or damaged counts nothing: its engine tells what is wrong with it.
    """
    needs = []
    rest = DAEMON_BYTES
    for spec in specs:
        try:
            need = _need(spec.name, spec.options)
        except (VoicedError, OSError, ValueError):  # the last one: a path that can be none
            continue
        if need is None:
            rest += SMALL_BYTES
        else:
            needs.append(need)
    return Budget(needs=tuple(needs), rest_bytes=rest)


def _need(engine: str, options: Mapping[str, Any]) -> Need | None:
    """None for an engine without a model."""
    if engine not in KEYS:
        return None
    models = Path(str(options["models_directory"]))
    if engine == "piper":
        path = _voice(models, str(options["voice"]))
        return piper_need(path, path.stat().st_size)
    found = find_model(models, engine, str(options["model"]))
    if engine == "whisper":
        path = found / WHISPER_FILE
        return whisper_need(path, path.stat().st_size)
    return llama_need(read_gguf(found), options["context"], options["conversations"])


def _voice(models: Path, wanted: str) -> Path:
    """As the engine understands it: a path where it ends so, else a name, perhaps with a
    speaker."""
    if wanted.endswith(ONNX):
        return Path(wanted)
    return find_model(models, "piper", wanted.partition("+")[0])
