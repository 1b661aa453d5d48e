"""llama.cpp with models that remember otherwise: a window (Gemma 3), a state (LFM2, Mamba).

After a stop, and in another conversation, they must answer as if nothing had been before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engines.llama_helpers import (
    Request,
    ask,
    assistant,
    loaded,
    needs_llama,
    prefill,
    system,
    user,
)
from tests.models.llama_shapes import SMALL, write_random
from tests.models.stateful_model import write_hybrid, write_recurrent, write_sliding
from voiced.engines import pulse
from voiced.engines.ports import WorkCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from voiced.engines.llm.llama import LlamaEngine

pytestmark = needs_llama

LONG = user("tell me again of the lamp in the kitchen and of the open room after half an hour")
BATCH = 8
"""`LONG` has four: the first is read, the second is stopped, and there is more to come."""

EACH = pytest.mark.parametrize("write", [write_sliding, write_hybrid, write_recurrent])


class Stopped(Request):
    """Cancelled when the first batch was read: the second one is under way then."""

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - as a request has them
        super().__init__(**params)
        self.signs = 0

    def emit(self, part: Mapping[str, Any]) -> None:
        super().emit(part)
        self.signs += 1
        self.cancel()


def answer(engine: LlamaEngine, *messages: dict[str, Any]) -> str:
    return ask(engine, *messages, max_output_tokens=12)[0].text


@EACH
def test_after_a_stop_within_a_prompt_it_answers_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], Path]
) -> None:
    monkeypatch.setattr(pulse, "PULSE_S", 0.0)
    model = write(tmp_path / "stateful.gguf")
    with loaded(model, batch=BATCH, conversations=1) as engine:
        expected = answer(engine, LONG)
    assert expected
    with loaded(model, batch=BATCH, conversations=1) as engine:
        request = Stopped(messages=[LONG])
        with pytest.raises(WorkCancelled):
            engine.run(request)
        assert request.signs == 1
        assert answer(engine, LONG) == expected


@EACH
def test_the_next_turn_goes_on_or_begins_anew_and_is_the_same(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    model = write(tmp_path / "stateful.gguf")
    turns = [system("Be kind."), LONG, assistant("Yes"), user("and the other one")]
    with loaded(model, batch=BATCH) as engine:
        expected = answer(engine, *turns)
    with loaded(model, batch=BATCH) as engine:
        answer(engine, *turns[:2])
        answer(engine, user("something else"))
        assert answer(engine, *turns) == expected
        assert answer(engine, *turns) == expected
        # Taken back by more than a window, and from one conversation into another.
        answer(engine, *turns, assistant("Well. " * 90), user("and then again"))
        assert answer(engine, *turns) == expected


@pytest.mark.parametrize("write", [write_hybrid, write_recurrent])
def test_words_that_may_turn_out_otherwise_are_not_read_by_a_state(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    """They could not be taken back: all in front of them would be read again with the answer."""
    with loaded(write(tmp_path / "stateful.gguf"), batch=BATCH, tell_time=False) as engine:
        before = [system("Be kind."), LONG, assistant("Yes")]
        read = prefill(engine, *before, user("and the ot"))
        _, result = ask(engine, *before, user("and the lamp"), max_output_tokens=1)
        assert 0 < result["cached_tokens"] == read


def test_what_a_model_with_tokens_had_read_when_it_was_stopped_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where there is a state, all has to be read again."""
    monkeypatch.setattr(pulse, "PULSE_S", 0.0)
    model = write_random(tmp_path / "small.gguf", SMALL)
    with loaded(model, batch=BATCH, conversations=1) as engine:
        with pytest.raises(WorkCancelled):
            engine.run(Stopped(messages=[LONG]))
        _, result = ask(engine, LONG, max_output_tokens=1)
        assert result["cached_tokens"] == BATCH


def test_what_has_left_the_window_need_not_be_read_again(tmp_path: Path) -> None:
    """The tokens in front of it are kept, so that one can go back to them."""
    with loaded(write_sliding(tmp_path / "sliding.gguf"), batch=BATCH) as engine:
        answer(engine, LONG, assistant("Well. " * 90), user("and then again"))
        _, result = ask(engine, LONG, max_output_tokens=1)
        assert result["cached_tokens"] == result["input_tokens"] - 1
