"""llama.cpp by the engine against llama-cpp-python's `Llama` with its defaults."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from voiced.bench.naive import Asked
from voiced.bench.pairs import Comparison, compare, timed
from voiced.engines.clients import EngineLlm
from voiced.engines.ports import ReplyEnd
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voiced.bench.rival import Rival
    from voiced.engines.host import EngineHost

NAIVE: Final = "llama-cpp-python, Llama() with its defaults, a clock at the head of the prompt"

GOAL: Final = 12.0
"""How many times sooner the first token should come."""

HISTORY_TOKENS: Final = 400

SENTENCE: Final = "The lamp in the kitchen is on, and the one in the hall is off. "

Messages = list[dict[str, Any]]


async def compare_llm(
    host: EngineHost, rival: Rival, pcm: bytes, pairs: int, tell: Callable[[str], None]
) -> list[Comparison]:
    """From the question to the first token, another question each time. Ours has read what was
    said before; the other one begins with a clock, so that it reads all of it anew. Without a clock
    the library keeps what it has read as well, which is measured for comparison."""
    del pcm
    numbers = count(1)
    history = await recall(host, HISTORY_TOKENS)

    def ask() -> dict[str, Any]:
        return {"role": "user", "content": f"And lamp number {next(numbers)}?"}

    async def ours() -> dict[str, float]:
        messages = [*history, ask()]
        return await timed(lambda: reply(host, messages, 1))

    async def theirs() -> Mapping[str, float]:
        messages = clocked(history, next(numbers))
        return await rival.spend(Asked(op="first token", messages=[*messages, ask()]))

    async def unclocked() -> Mapping[str, float]:
        return await rival.spend(Asked(op="first token", messages=[*history, ask()]))

    name = f"first token after {HISTORY_TOKENS} tokens"
    return [
        await compare(name, ours, theirs, pairs=pairs, goal=GOAL, tell=tell),
        await compare(f"{name}, no clock", ours, unclocked, pairs=pairs, tell=tell),
    ]


async def recall(host: EngineHost, tokens: int) -> Messages:
    """A conversation of that many tokens or a few more, which the engine has read."""
    instructions = SENTENCE
    while True:
        messages: Messages = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": "Is the lamp on?"},
            {"role": "assistant", "content": "Yes, it is."},
        ]
        if await read_ahead(host, messages) >= tokens:
            return messages
        instructions += SENTENCE


async def read_ahead(host: EngineHost, messages: Messages) -> int:
    """Have the engine read what was said before the user speaks on; how many tokens that is."""
    async with host.request("prefill", {"messages": messages, "tools": []}) as call:
        done = await call.result()
        return int(done["evaluated_tokens"]) + int(done["cached_tokens"])


async def reply(host: EngineHost, messages: Sequence[Mapping[str, Any]], tokens: int) -> None:
    """Have so many tokens of a reply. Raises `EngineFailed` where the model has ended before."""
    async with EngineLlm(host).reply(messages, max_output_tokens=tokens) as parts:
        async for part in parts:
            if isinstance(part, ReplyEnd) and part.output_tokens < tokens:
                raise EngineFailed(
                    f"the model ended its reply after {part.output_tokens} tokens of {tokens}; "
                    "measure with one that goes on"
                )


def clocked(history: Messages, number: int) -> Messages:
    """The history with a time at its head, another one for each number."""
    clock = f"It is {number // 60 % 24:02d}:{number % 60:02d}. "
    return [{**history[0], "content": clock + history[0]["content"]}, *history[1:]]
