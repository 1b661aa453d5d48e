"""What the settings say to the engine of llama.cpp."""

from __future__ import annotations

import msgspec


class LlamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `[llm]` of the settings says to this engine; see config/voiced.toml."""

    models_directory: str = "models"
    model: str = ""
    chat_template: str = ""
    context: int = 4096
    conversations: int = 2
    threads: int = 2
    threads_batch: int = 0
    batch: int = 128
    temperature: float = 0.6
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = -1
    stop: tuple[str, ...] = ()
    tell_time: bool = True
