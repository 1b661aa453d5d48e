"""The ways of llama.cpp: what it does to a prompt, what it says when it fails, odd names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.engines.llama_helpers import ask, loaded, needs_llama, user
from tests.models.llama_model import TEMPLATE, write_scripted
from voiced.engines.llm.llama import LlamaEngine
from voiced.engines.llm.llama_library import open_library
from voiced.errors import ContextExceeded, EngineFailed, ModelError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_llama

ANSWERS = {"zebra": ["The la", "mp is ", "on."]}


@pytest.mark.parametrize("front", ["", "{{ bos_token }}"], ids=["theirs", "the template's"])
def test_a_prompt_begins_once_and_does_not_end(tmp_path: Path, front: str) -> None:
    """A model that wants a token in front gets one, wherever it comes from. One behind, which
    llama.cpp would put there too, would end the answer before it begins."""
    plain = write_scripted(tmp_path / "plain.gguf", ANSWERS)
    with loaded(plain) as engine:
        expected = engine.count_tokens([user("zebra")]) + 1
    framed = write_scripted(
        tmp_path / "framed.gguf", ANSWERS, framed=True, template=front + TEMPLATE
    )
    with loaded(framed) as engine:
        request, result = ask(engine, user("zebra"))
    assert (request.text, result["input_tokens"]) == ("The lamp is on.", expected)


def test_half_a_character_does_no_harm(tmp_path: Path) -> None:
    """JSON can say what is no text; the tokens of that are llama.cpp's to find."""
    with loaded(write_scripted(tmp_path / "one.gguf", ANSWERS)) as engine:
        assert ask(engine, user("\ud83c the zebra \udf21"))[0].text == "The lamp is on."


def test_a_failure_has_its_own_cause_and_not_an_earlier_one(tmp_path: Path) -> None:
    with loaded(write_scripted(tmp_path / "one.gguf", ANSWERS), context=256) as engine:
        context = engine._context
        library = open_library()
        assert not library.llama_sampler_init_grammar(
            context.vocabulary.handle, b"root ::= (((", b"root"
        )
        with pytest.raises(EngineFailed, match=r"\(-1\).*invalid token"):
            context.decode(0, [10**6], 0)
        with pytest.raises(EngineFailed, match=r"\(1\): no room is left"):
            context.decode(0, [5] * 600, 0)


def test_a_model_that_remembers_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that write a whole text at once have no memory of tokens; their names are many."""
    path = write_scripted(tmp_path / "one.gguf", ANSWERS)
    monkeypatch.setattr(open_library(), "llama_get_memory", lambda context: None)
    with pytest.raises(
        ModelError, match=r"one\.gguf is a model of a kind .* choose one that chats"
    ):
        LlamaEngine({"model": str(path)}).load()


def test_a_name_that_is_no_text_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"mod\xe8le.gguf")
    write_scripted(tmp_path / "model.gguf", ANSWERS).rename(path)
    with loaded(path) as engine:
        assert ask(engine, user("zebra"))[0].text == "The lamp is on."


def test_a_batch_may_be_longer_than_the_context(tmp_path: Path) -> None:
    """llama.cpp would end the process over a batch of more than it has room for."""
    template = "{{ 'hello ' * 60 }}" + TEMPLATE
    path = write_scripted(tmp_path / "one.gguf", ANSWERS, template=template, context=256)
    with loaded(path, batch=2048, conversations=1) as engine, pytest.raises(ContextExceeded):
        ask(engine, user("zebra"))
