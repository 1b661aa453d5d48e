"""Which sequence a prompt goes on in, and what the others keep."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiced.engines.llm.prefix_cache import PrefixCache, common_prefix


class Slate:
    """A memory as llama.cpp's, on lists: what it holds must be what the cache believes."""

    def __init__(self, count: int, *, copies: bool = True, cuts: bool = True) -> None:
        self.rows: list[list[int]] = [[] for _ in range(count)]
        self.copies = copies
        self._cuts = cuts

    def truncate(self, sequence: int, length: int) -> bool:
        row = self.rows[sequence]
        if not self._cuts and 0 < length < len(row):
            return False
        del row[length:]
        return True

    def copy(self, source: int, target: int, length: int) -> None:
        assert self.rows[target] == []
        self.rows[target] = self.rows[source][:length]


class Reader:
    """Computes prompts as the engine does."""

    def __init__(self, count: int = 2, *, copies: bool = True, cuts: bool = True) -> None:
        self.slate = Slate(count, copies=copies, cuts=cuts)
        self.cache = PrefixCache(self.slate, count)

    def read(self, prompt: list[int], stop_after: int | None = None) -> int:
        """Compute a prompt; how many tokens that took. `stop_after`: a cancel comes by then."""
        taken = self.cache.take(prompt)
        row = self.slate.rows[taken.sequence]
        assert row == prompt[: taken.kept]
        new = prompt[taken.kept :][:stop_after]
        row.extend(new)
        self.cache.extend(taken.sequence, new)
        assert self.cache.length(taken.sequence) == len(row)
        return len(new)


HEAD = list(range(1000, 1200))
ONE = [*HEAD, *range(100)]
TWO = [*HEAD, *range(500, 600)]
THREE = [*HEAD, *range(700, 800)]


def test_what_is_known_is_not_computed() -> None:
    reader = Reader()
    assert reader.read(ONE) == 300
    assert reader.read([*ONE, 1, 2, 3]) == 3
    assert reader.read([*ONE, 1, 2, 3]) == 1  # what follows the last token is asked for


def test_a_second_conversation_takes_the_beginning_over() -> None:
    reader = Reader()
    reader.read(ONE)
    assert reader.read(TWO) == 100
    assert reader.read(ONE) == 1
    assert reader.read(TWO) == 1


def test_the_conversation_used_longest_ago_gives_way() -> None:
    reader = Reader()
    for prompt in (ONE, TWO, ONE, THREE):
        reader.read(prompt)
    assert reader.read(ONE) == 1
    assert reader.read(TWO) == 100


def test_an_interrupted_reply_stays_in_its_sequence() -> None:
    reader = Reader()
    reader.read(TWO)
    reader.read([*ONE, *range(2000, 2040)])
    assert reader.read([*ONE, 5]) == 1
    assert reader.read(TWO) == 1


def test_after_a_cancel_the_rest_is_computed() -> None:
    reader = Reader()
    assert reader.read(ONE, stop_after=120) == 120
    assert reader.read(ONE) == 180


def test_a_memory_that_copies_nothing_computes_all() -> None:
    reader = Reader(copies=False)
    reader.read(ONE)
    assert reader.read(TWO) == 300
    assert reader.read(ONE) == 1


def test_a_memory_that_cannot_be_cut_is_emptied() -> None:
    """As those of recurrent models."""
    reader = Reader(count=1, cuts=False)
    reader.read(ONE)
    assert reader.read([*ONE, 1]) == 1
    assert reader.read([*ONE[:290], 9]) == 291


def test_one_sequence_serves_all() -> None:
    reader = Reader(count=1)
    reader.read(ONE)
    assert reader.read(TWO) == 100
    assert reader.read(ONE) == 100


@given(
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 2), min_size=1, max_size=60), st.none() | st.integers(0, 9)
        ),
        max_size=20,
    ),
)
def test_whatever_comes_the_memory_holds_what_is_believed(
    count: int, copies: bool, cuts: bool, prompts: list[tuple[list[int], int | None]]
) -> None:
    reader = Reader(count, copies=copies, cuts=cuts)
    for prompt, stop_after in prompts:
        assert reader.read(prompt, stop_after) >= (0 if stop_after == 0 else 1)


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_a_common_prefix_is_the_longest(first: list[int], second: list[int]) -> None:
    length = common_prefix(first, second)
    assert first[:length] == second[:length]
    assert first[length : length + 1] != second[length : length + 1] or length in (
        len(first),
        len(second),
    )
