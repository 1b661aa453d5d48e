"""Where in a JSON value msgspec found a fault: it writes `[...]` for the index of any element."""

from __future__ import annotations

import re
from typing import Any

import msgspec

PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`")
"""The end of a complaint: where, from the root `$`."""

ANY_INDEX = "[...]"
STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def with_indexes(problem: str, value: Any, kind: Any) -> str:  # noqa: ANN401 - JSON and a type
    """`problem`, msgspec's complaint about `value` as a `kind`, with the real indexes in its path.

    msgspec stops at the first fault, so the shortest prefix of an array that has the same fault
    ends with the element it is in. Indexes that cannot be told, of an object's keys say, stay as
    they are.
    """
    found = PATH.search(problem)
    if found is None:
        return problem
    path = found["path"]
    while ANY_INDEX in path:
        front, _, behind = path.partition(ANY_INDEX)
        index = faulty_index(problem, value, kind, steps_of(front))
        if index is None:
            break
        path = f"{front}[{index}]{behind}"
    return problem[: found.start("path")] + path + problem[found.end("path") :]


def steps_of(path: str) -> list[str | int]:
    """The keys and indexes that a path without `[...]` is made of."""
    return [int(index) if index else name for name, index in STEP.findall(path)]


def faulty_index(problem: str, value: Any, kind: Any, steps: list[str | int]) -> int | None:  # noqa: ANN401
    """Which element of the array at `steps` is at fault; None where there is no such array."""
    array = value
    for step in steps:
        try:
            array = array[step]
        except (KeyError, IndexError, TypeError):
            return None
    if not isinstance(array, list) or not fails(problem, value, kind):
        return None
    least, most = 1, len(array)
    while least < most:
        middle = (least + most) // 2
        if fails(problem, replaced(value, steps, array[:middle]), kind):
            most = middle
        else:
            least = middle + 1
    return least - 1


def fails(problem: str, value: Any, kind: Any) -> bool:  # noqa: ANN401 - JSON and a type
    """Whether `value` has that fault."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        return str(exc) == problem
    return False


def replaced(value: Any, steps: list[str | int], new: Any) -> Any:  # noqa: ANN401 - JSON
    """A copy of `value` with `new` at `steps`; what is not on the way is shared."""
    if not steps:
        return new
    step, *rest = steps
    if isinstance(value, dict):
        return {**value, step: replaced(value[step], rest, new)}
    copy = list(value)
    copy[int(step)] = replaced(copy[int(step)], rest, new)
    return copy
