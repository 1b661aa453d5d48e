"""Engines that fit the memory one by one, and not together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.models.llama_model import write_scripted
from tests.models.whisper_model import write_listener
from tests.test_daemon import refused_start, told
from voiced.engines.memory import free_memory
from voiced.models.gguf import read_gguf
from voiced.models.need import llama_need, whisper_need

if TYPE_CHECKING:
    from pathlib import Path


async def test_engines_that_do_not_fit_together_are_not_begun(tmp_path: Path) -> None:
    """Each model is a hole of 60 % of what is free here."""
    models = tmp_path / "state" / "models"
    stt = write_listener(models / "large-listener") / "model.bin"
    llm = write_scripted(models / "large.gguf", {})
    free = free_memory()
    for path in (stt, llm):
        os.truncate(path, int(free * 0.6))
    whisper_need(stt, stt.stat().st_size).check(free)
    llama_need(read_gguf(llm), 256, 1).check(free)
    code, lines = await refused_start(
        tmp_path,
        VOICED_STT__ENGINE="whisper",
        VOICED_LLM__ENGINE="llama",
        VOICED_LLM__CONTEXT="256",
        VOICED_LLM__CONVERSATIONS="1",
    )
    assert code == 1
    said = told(lines)
    assert "the engines need about" in said
    assert str(stt) in said
    assert str(llm) in said
    assert "choose" in said
    assert not any("engine ready" in line or "engine ended" in line for line in lines)
