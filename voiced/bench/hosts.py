"""The engines that the benches measure, as the daemon runs them: each in a process of its own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from voiced.bench import deaf, probe
from voiced.engines.host import EngineHost
from voiced.engines.registry import configured
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.errors import UsageError
from voiced.models.directory import ModelsDirectory
from voiced.models.shape import GGUF
from voiced.settings import Llm, Settings, Store, Stt, Tts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """What a directory holds, by engine: folders of Whisper models, GGUF files, voices."""

    directory: Path
    whisper: list[Path]
    llama: list[Path]
    piper: list[Path]
    """Their `.onnx` files."""

    @property
    def missing(self) -> list[str]:
        """The kinds of engine that it holds no model for."""
        kinds = {"stt": self.whisper, "llm": self.llama, "tts": self.piper}
        return [kind for kind, found in kinds.items() if not found]


def find_models(directory: Path) -> Models:
    """All models there that the engines can use. Raises `UsageError` where there are none."""
    directory = directory.expanduser().resolve()  # the engines take what has no slash for a name
    voices = ModelsDirectory(directory).look("piper").models
    found = Models(
        directory=directory,
        whisper=sorted(path.parent for path in directory.glob("*/model.bin")),
        llama=sorted([*directory.glob(f"*{GGUF}"), *directory.glob(f"*/*{GGUF}")]),
        piper=[Path(voice.path) for voice in voices],
    )
    if not (found.whisper or found.llama or found.piper):
        raise UsageError(
            f"{directory} holds no model that can be measured; in voiced's source tree, "
            f"`python -m tests.models {directory}` makes some of true shape"
        )
    return found


def whisper_spec(models: Models, folder: Path, threads: int = 0) -> EngineSpec:
    """Whisper as it runs by default, unless `threads` are given, with what the benches ask it
    besides."""
    stt = Stt(engine="whisper", model=str(folder), threads=threads)
    return probed(configured(Settings(stt=stt, store=_store(models)), "stt"))


def llama_spec(models: Models, path: Path, threads: int = 0) -> EngineSpec:
    """llama.cpp as it runs by default, but that it takes the likeliest token, so that each run
    says the same."""
    llm = Llm(engine="llama", model=str(path), temperature=0.0)
    if threads:
        llm = msgspec.structs.replace(llm, threads=threads, threads_batch=threads)
    return configured(Settings(llm=llm, store=_store(models)), "llm")


def piper_spec(models: Models, path: Path, threads: int = 0) -> EngineSpec:
    """Piper as it runs by default."""
    options = {"threads": threads} if threads else {}
    tts = Tts(engine="piper", voice=str(path), options=options)
    return configured(Settings(tts=tts, store=_store(models)), "tts")


def _store(models: Models) -> Store:
    return Store(models=str(models.directory))


def probed(spec: EngineSpec) -> EngineSpec:
    """Whisper that tells of its native calls; any other engine as it is."""
    if (spec.kind, spec.name) != ("stt", "whisper"):
        return spec
    return msgspec.structs.replace(spec, target=probe.TARGET)


@asynccontextmanager
async def open_host(
    spec: EngineSpec, *, deafened: bool = False
) -> AsyncGenerator[EngineHost, None]:
    """The engine, loaded and warm. `deafened` takes its hooks from it. Raises `ModelError`."""
    policy = HostPolicy()
    if deafened:
        options = {"target": spec.target, "options": spec.options}
        spec = msgspec.structs.replace(spec, target=deaf.TARGET, options=options)
        # It shall end its work, however long that takes, rather than be killed.
        policy = msgspec.structs.replace(policy, grace_s=policy.stall_s)
    host = EngineHost(spec, policy)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.serve)
        yield host
        nursery.cancel_scope.cancel(reason="measured")
