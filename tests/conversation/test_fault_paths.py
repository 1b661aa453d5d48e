"""Where in a JSON value a fault is, index by index."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.conversation.config import rejected_by
from voiced.conversation.paths import with_indexes


class Leaf(msgspec.Struct):
    size: int


class Branch(msgspec.Struct, tag_field="type", tag="branch"):
    leaves: list[Leaf] = []
    named: dict[str, Leaf] = {}


class Twig(msgspec.Struct, tag_field="type", tag="twig"):
    pass


class Tree(msgspec.Struct):
    branches: tuple[Branch | Twig, ...] = ()
    name: str = ""


def fault_of(value: Any) -> str | None:  # noqa: ANN401  # JSON
    try:
        msgspec.convert(value, Tree)
    except msgspec.ValidationError as exc:
        return rejected_by(with_indexes(str(exc), value, Tree), "").param
    return None


GOOD = {"type": "branch", "leaves": [{"size": 1}] * 3}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (
            {"branches": [GOOD, {**GOOD, "leaves": [{"size": 1}, {"size": "x"}]}]},
            (1, "leaves[1].size"),
        ),
        ({"branches": [{"type": "branch", "leaves": [{}]}]}, (0, "leaves[0].size")),
        ({"branches": [GOOD, GOOD, {"type": "root"}]}, (2, "type")),
        ({"branches": [GOOD, {"type": "twig"}, {}]}, (2, "type")),
        ({"branches": [{"type": "branch", "leaves": {}}]}, (0, "leaves")),
    ],
)
def test_the_faulty_element_is_named(value: Any, path: tuple[int, str]) -> None:  # noqa: ANN401
    assert fault_of(value) == f"branches[{path[0]}].{path[1]}"


def test_what_is_in_no_array_is_named_as_before() -> None:
    assert fault_of({"name": 5}) == "name"
    assert fault_of({"branches": 5}) == "branches"
    # msgspec does not tell the keys of an object apart, and neither do we.
    assert (
        fault_of({"branches": [{"type": "branch", "named": {"a": {}}}]}) == "branches[0].named.size"
    )


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_of_several_faults_the_first_is_named(width: int, length: int, data: st.DataObject) -> None:
    faults = data.draw(
        st.sets(st.tuples(st.integers(0, width - 1), st.integers(0, length - 1)), min_size=1)
    )
    branches = [
        {
            "type": "branch",
            "leaves": [{"size": "x" if (row, column) in faults else 1} for column in range(length)],
        }
        for row in range(width)
    ]
    row, column = min(faults)
    assert fault_of({"branches": branches}) == f"branches[{row}].leaves[{column}].size"
