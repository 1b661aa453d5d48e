"""What ends a nursery comes out in groups within groups."""

from __future__ import annotations

from voiced.errors import EngineBusy, EngineFailed, ToolError, leaves


def test_the_errors_of_a_group_are_found_however_deep_in_their_order() -> None:
    first, second, third = EngineBusy("1"), ToolError("2"), EngineFailed("3")
    innermost = ExceptionGroup("innermost", [first])
    inner: ExceptionGroup[Exception] = ExceptionGroup("inner", [innermost, second])
    group: ExceptionGroup[Exception] = ExceptionGroup("outer", [inner, third])
    assert leaves(group) == [first, second, third]
