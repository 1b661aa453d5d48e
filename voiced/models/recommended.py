"""Sets of models for boards of 4, 8 and 16 GB. docs/models.md tells why these."""

from __future__ import annotations

import msgspec

from voiced.models.manifest import ModelKind
from voiced.models.need import (
    DAEMON_BYTES,
    SMALL_BYTES,
    llama_bytes,
    piper_bytes,
    whisper_bytes,
)
from voiced.settings import Llm

MB = 10**6
GB = 10**9

TOKENS = Llm().context * Llm().conversations
"""Of context in all conversations that are kept ready, where the settings say nothing else."""

SERVICE_SHARE = 0.8
"""Of the machine's memory, what the service in systemd/voiced.service may take: `MemoryMax`."""

REST_BYTES = SMALL_BYTES + DAEMON_BYTES
"""Beside the models: the assistant in front of the language model, and the daemon's own work."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be had from the hub. `size_mb` and `licence` are what the page of the model
    says, `memory_bytes` is what the daemon will reckon that its engine takes at work."""

    kind: ModelKind
    engine: str
    name: str
    source: str
    size_mb: int
    licence: str
    memory_bytes: int
    token_bytes: int = 0
    """Of `memory_bytes`, the part of each token of context, of which there are `TOKENS`."""

    @property
    def memory_mb(self) -> int:
        """The same for people, rounded up."""
        return tens_of_mb(self.memory_bytes)

    def memory_with(self, tokens: int) -> int:
        """Bytes with so many tokens of context in place of `TOKENS`; 0 is no other number."""
        return self.memory_bytes + self.token_bytes * ((tokens or TOKENS) - TOKENS)


class ModelSet(msgspec.Struct, frozen=True, kw_only=True):
    """What fits together on a board of `memory_gb`."""

    memory_gb: int
    choices: tuple[Choice, ...]

    @property
    def size_mb(self) -> int:
        """To be fetched, and on the disk."""
        return sum(choice.size_mb for choice in self.choices)

    @property
    def memory_bytes(self) -> int:
        """Of the three engines at work together, with the assistant in front of the language model
        and the daemon's own work."""
        return REST_BYTES + sum(choice.memory_bytes for choice in self.choices)

    @property
    def rest_mb(self) -> int:
        """Of that, what is not a model's, for people."""
        return tens_of_mb(REST_BYTES)

    @property
    def memory_mb(self) -> int:
        """All of it for people: the sum of its parts as they are shown, each rounded up."""
        return self.rest_mb + sum(choice.memory_mb for choice in self.choices)


def tens_of_mb(count: int) -> int:
    """Bytes as megabytes, rounded up to ten: more exact is no estimate."""
    return -(-count // (10 * MB)) * 10


def _whisper(size: str, size_mb: int) -> Choice:
    return Choice(
        kind="stt",
        engine="whisper",
        name=f"faster-whisper-{size}",
        source=f"hf:Systran/faster-whisper-{size}",
        size_mb=size_mb,
        licence="MIT",
        memory_bytes=whisper_bytes(size_mb * MB),
    )


def _qwen(repository: str, name: str, size_mb: int, *, token_bytes: int) -> Choice:
    """`token_bytes`: the keys and values of a token, by the model's `config.json`."""
    return Choice(
        kind="llm",
        engine="llama",
        name=name,
        source=f"hf:{repository}/{name}.gguf",
        size_mb=size_mb,
        licence="Apache-2.0",
        memory_bytes=llama_bytes(size_mb * MB, TOKENS * token_bytes),
        token_bytes=token_bytes,
    )


SMALL_LLM = _qwen(
    "bartowski/Qwen2.5-0.5B-Instruct-GGUF",
    "Qwen2.5-0.5B-Instruct-Q4_K_M",
    398,
    token_bytes=24 * 2 * (64 + 64) * 2,
)
LLM = _qwen(
    "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
    "qwen2.5-1.5b-instruct-q4_k_m",
    1117,
    token_bytes=28 * 2 * (128 + 128) * 2,
)
VOICE = Choice(
    kind="tts",
    engine="piper",
    name="en_US-ljspeech-medium",
    source="hf:rhasspy/piper-voices/en/en_US/ljspeech/medium/en_US-ljspeech-medium.onnx",
    size_mb=64,
    licence="MIT; its recordings are in the public domain",
    memory_bytes=piper_bytes(64 * MB),
)

SETS = (
    ModelSet(memory_gb=4, choices=(_whisper("tiny", 78), SMALL_LLM, VOICE)),
    ModelSet(memory_gb=8, choices=(_whisper("base", 148), LLM, VOICE)),
    ModelSet(memory_gb=16, choices=(_whisper("small", 486), LLM, VOICE)),
)


def set_for(memory_bytes: int) -> ModelSet:
    """The largest set for a board with so much memory, of which the system may have taken some;
    the smallest where it has less than any set is for."""
    fits = [models for models in SETS if memory_bytes >= models.memory_gb * GB * 0.85]
    return fits[-1] if fits else SETS[0]
