"""How much memory an engine needs for a model: for the engine, the daemon, and recommendations.

Each figure is the most that was seen of a process at work, rounded up; where it was seen is said
beside it. Nothing here imports an engine, or reads more of a model than its head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from voiced.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.models.gguf import GgufFile

MIB = 1 << 20

LLAMA_BYTES = 96 * MIB
"""For the library, its buffers and the interpreter: an allowance. A model with a vocabulary of
150,000 and a batch of 128 was seen to use 85 MB beside its weights and its context."""

WHISPER_BYTES = 256 * MIB
"""What running a model takes beside its file at most: measured 208 MiB for the shape of tiny and
234 MiB for base, int8, on windows of 30 s with word times."""

PIPER_FACTOR = 2.5
"""What a loaded voice keeps between runs, in sizes of its file. Measured on a voice of the true
shape of medium ones with random weights (57 MiB, x86-64): 141 MiB after runs of 2 and of 9 s."""

PIPER_RUN_BYTES = 288 * MIB
"""What one run takes besides, while it lasts: some 12 s of sound at most, 16 to 22 MiB for each.
With that same voice and clauses of that length the whole process was seen with 408 MiB."""

SMALL_BYTES = 48 * MIB
"""An engine without a model. Measured: phrases 47 MiB, the assistant 22, eSpeak NG 17. What an
engine of another package takes, nobody here knows."""

DAEMON_BYTES = 64 * MIB
"""What the daemon will take beside its engines: an allowance for two recordings that are decoded
or encoded, each in a process of 32 MiB. What it has already is not free any more."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one model takes in memory, `bytes`, all that is computed with it included."""

    engine: str
    what: str
    """The model, for people, with its file."""
    bytes: int
    remedy: str
    """What to do where it does not fit."""
    tokens: int = 0
    """Of context that a language model is to have room for, in all conversations together."""
    parts: str = ""
    """What `bytes` consists of, in brackets, where that tells something."""

    def check(self, free_bytes: int) -> None:
        """Raise `ModelError`, one line with file and remedy, where the model alone does not fit."""
        if self.bytes > free_bytes:
            raise ModelError(f"{self.shortage(free_bytes)}; {self.remedy}")

    def shortage(self, free_bytes: int) -> str:
        """That it does not fit into so much, in words."""
        return (
            f"{self.what} needs about {show_mib(self.bytes)} MiB of memory{self.parts}, and "
            f"{free_bytes // MIB:,} MiB are free"
        )


def llama_need(file: GgufFile, context: int, conversations: int) -> Need:
    """Of a language model with so many `conversations` of `context` tokens, of which it can use
    no more than it was trained for."""
    tokens = usable_context(file, context) * conversations
    kv = file.kv_bytes(tokens)
    return Need(
        engine="llama",
        what=f"the GGUF model {file.path}",
        bytes=llama_bytes(file.size_bytes, kv),
        tokens=tokens,
        parts=f" ({show_mib(file.size_bytes)} for itself, {show_mib(kv)} for {tokens:,} tokens of "
        "context)",
        remedy="choose a smaller model, or lower llm.context or llm.conversations",
    )


def usable_context(file: GgufFile, context: int) -> int:
    """Tokens of the longest conversation: `context`, or what the model was trained for."""
    return min(context, file.context_trained or context)


def whisper_need(path: Path, file_bytes: int) -> Need:
    """Of a Whisper model, whose `model.bin` is `path`."""
    return Need(
        engine="whisper",
        what=f"the Whisper model {path}",
        bytes=whisper_bytes(file_bytes),
        remedy="take a smaller model, such as tiny or base, or one converted with "
        "--quantization int8",
    )


def piper_need(path: Path, file_bytes: int) -> Need:
    """Of a voice, whose `.onnx` file is `path`."""
    return Need(
        engine="piper",
        what=f"the Piper voice {path}",
        bytes=piper_bytes(file_bytes),
        remedy="use a smaller one, such as a low or x_low",
    )


def llama_bytes(file_bytes: int, kv_bytes: int) -> int:
    """The weights stay in the file's pages, which llama.cpp maps; all of them are needed for each
    token, so that they count like any memory."""
    return file_bytes + kv_bytes + LLAMA_BYTES


def whisper_bytes(file_bytes: int) -> int:
    """See `WHISPER_BYTES`."""
    return file_bytes + WHISPER_BYTES


def piper_bytes(file_bytes: int) -> int:
    """A loaded voice and the longest run of it."""
    return voice_bytes(file_bytes) + PIPER_RUN_BYTES


def voice_bytes(file_bytes: int) -> int:
    """What a loaded voice keeps between runs."""
    return int(file_bytes * PIPER_FACTOR)


def show_mib(count: int) -> str:
    """MiB, rounded up."""
    return f"{-(-count // MIB):,}"
