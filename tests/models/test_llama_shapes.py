"""A language model that always answers the same, at the cost of its shape."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import gguf
import pytest

from tests.engines.llama_helpers import needs_llama
from tests.models.__main__ import ANSWER
from tests.models.llama_shapes import SMALL, write_random, write_saying
from voiced.bench.engines_tts import SENTENCE
from voiced.bench.engines_turn import count_tokens

if TYPE_CHECKING:
    from pathlib import Path


def tensors_of(path: Path) -> dict[str, tuple[list[int], int]]:
    """Shape and kind of each."""
    tensors = gguf.GGUFReader(path).tensors
    return {one.name: ([int(size) for size in one.shape], one.tensor_type) for one in tensors}


def test_the_answer_has_a_token_for_each_word_and_mark() -> None:
    assert "".join(ANSWER) == SENTENCE
    assert len(ANSWER) == len(set(ANSWER)) == count_tokens(SENTENCE)


def test_it_has_the_matrices_of_a_random_one_and_none_is_empty(tmp_path: Path) -> None:
    shape = SMALL
    saying = write_saying(tmp_path / "saying.gguf", shape, ANSWER)
    random = tensors_of(write_random(tmp_path / "random.gguf", shape))
    found = tensors_of(saying)
    words = {"token_embd.weight", "output.weight"}  # the small vocabulary grows by the pieces
    assert {name: one for name, one in found.items() if name not in words} == {
        name: one for name, one in random.items() if name not in words
    }
    assert {name: found[name][1] for name in words} == {name: random[name][1] for name in words}
    for one in gguf.GGUFReader(saying).tensors:
        assert (one.data != 0).mean() > 0.9, one.name


@needs_llama
@pytest.mark.parametrize("asked", ["what time is it?", "Turn on the lamp.", "été"])
def test_it_says_its_answer_and_ends(tmp_path: Path, asked: str) -> None:
    path = write_saying(tmp_path / "saying.gguf", SMALL, ANSWER)
    llama = importlib.import_module("llama_cpp").Llama(
        model_path=str(path), n_ctx=512, n_threads=1, verbose=False
    )
    messages = [{"role": "user", "content": asked}]
    # Warm: another token than the likeliest would be found out.
    answer = llama.create_chat_completion(messages=messages, max_tokens=64, temperature=0.6)
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == SENTENCE
    assert choice["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == len(ANSWER)
    # What it said is cut into the same tokens when it stands in a conversation.
    assert len(llama.tokenize(SENTENCE.encode(), add_bos=False)) == len(ANSWER)
    llama.close()
