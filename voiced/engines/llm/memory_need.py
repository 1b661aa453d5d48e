"""Whether a language model fits the memory that is free, before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.errors import ModelError

if TYPE_CHECKING:
    from voiced.models.gguf import GgufFile

WORKING_BYTES = 96 << 20
"""For the library, its buffers and the interpreter: an allowance. A model with a vocabulary of
150,000 and a batch of 128 was seen to use 85 MB beside its weights and its context."""

MIB = 1 << 20


def check_memory(file: GgufFile, context: int, free_bytes: int) -> None:
    """Raise `ModelError` where weights, `context` tokens and working memory exceed what is free."""
    kv = file.kv_bytes(context)
    need = file.size_bytes + kv + WORKING_BYTES
    if need <= free_bytes:
        return
    raise ModelError(
        f"the GGUF model {file.path} needs about {need // MIB + 1:,} MiB "
        f"({file.size_bytes // MIB + 1:,} for itself, {kv // MIB + 1:,} for {context:,} tokens of "
        f"context), and {free_bytes // MIB:,} MiB are free; choose a smaller one, or lower "
        "llm.context or llm.conversations"
    )
