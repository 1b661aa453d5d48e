"""Sets of models for boards of 4, 8 and 16 GB. docs/models.md tells why these."""

from __future__ import annotations

import msgspec

from voiced.models.manifest import ModelKind

GB = 10**9


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be had from the hub. `memory_mb` is an estimate, of what its engine takes
    while it works; `size_mb` and `licence` are what the page of the model says."""

    kind: ModelKind
    engine: str
    name: str
    source: str
    size_mb: int
    licence: str
    memory_mb: int


class ModelSet(msgspec.Struct, frozen=True, kw_only=True):
    """What fits together on a board of `memory_gb`."""

    memory_gb: int
    choices: tuple[Choice, ...]

    @property
    def size_mb(self) -> int:
        """To be fetched, and on the disk."""
        return sum(choice.size_mb for choice in self.choices)

    @property
    def memory_mb(self) -> int:
        """Estimated, for the three engines at work together."""
        return sum(choice.memory_mb for choice in self.choices)


def _whisper(size: str, size_mb: int, memory_mb: int) -> Choice:
    return Choice(
        kind="stt",
        engine="whisper",
        name=f"faster-whisper-{size}",
        source=f"hf:Systran/faster-whisper-{size}",
        size_mb=size_mb,
        licence="MIT",
        memory_mb=memory_mb,
    )


SMALL_LLM = Choice(
    kind="llm",
    engine="llama",
    name="Qwen2.5-0.5B-Instruct-Q4_K_M",
    source="hf:bartowski/Qwen2.5-0.5B-Instruct-GGUF/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf",
    size_mb=398,
    licence="Apache-2.0",
    memory_mb=700,
)
LLM = Choice(
    kind="llm",
    engine="llama",
    name="qwen2.5-1.5b-instruct-q4_k_m",
    source="hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf",
    size_mb=1117,
    licence="Apache-2.0",
    memory_mb=1700,
)
VOICE = Choice(
    kind="tts",
    engine="piper",
    name="en_US-ljspeech-medium",
    source="hf:rhasspy/piper-voices/en/en_US/ljspeech/medium/en_US-ljspeech-medium.onnx",
    size_mb=64,
    licence="MIT; its recordings are in the public domain",
    memory_mb=500,
)

SETS = (
    ModelSet(memory_gb=4, choices=(_whisper("tiny", 78, 300), SMALL_LLM, VOICE)),
    ModelSet(memory_gb=8, choices=(_whisper("base", 148, 450), LLM, VOICE)),
    ModelSet(memory_gb=16, choices=(_whisper("small", 486, 1000), LLM, VOICE)),
)


def set_for(memory_bytes: int) -> ModelSet:
    """The largest set for a board with so much memory, of which the system may have taken some;
    the smallest where it has less than any set is for."""
    fits = [models for models in SETS if memory_bytes >= models.memory_gb * GB * 0.85]
    return fits[-1] if fits else SETS[0]
