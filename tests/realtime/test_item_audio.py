"""The sound of items: kept whole or not at all, bounded, cut to the millisecond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiced.audio.formats import PCM, PCMU
from voiced.realtime.item_audio import AudioBudget, ItemAudio


def test_an_item_has_what_was_added() -> None:
    kept = ItemAudio(1000, AudioBudget(2**28))
    kept.add("a", b"12", PCMU)
    kept.add("b", b"xy", PCMU)
    kept.add("a", b"34", PCMU)
    assert kept.get("a") == b"1234"
    assert kept.get("b") == b"xy"
    assert kept.get("c") is None
    assert kept.size_bytes == 6


def test_a_cut_is_counted_in_the_format_of_the_item() -> None:
    kept = ItemAudio(100_000, AudioBudget(2**28))
    kept.add("pcm", bytes(480), PCM)
    kept.add("pcm", bytes(480), PCM)
    kept.add("phone", bytes(80), PCMU)
    kept.cut("pcm", 15)
    kept.cut("phone", 9)
    assert kept.get("pcm") == bytes(720)
    assert kept.get("phone") == bytes(72)
    assert kept.size_bytes == 792
    kept.cut("pcm", 500)
    assert kept.get("pcm") == bytes(720)
    kept.cut("pcm", 0)
    assert kept.get("pcm") == b""
    kept.cut("unknown", 3)


def test_the_oldest_goes_first_and_whole() -> None:
    kept = ItemAudio(10, AudioBudget(2**28))
    kept.add("a", b"aaaa", PCMU)
    kept.add("b", b"bbbb", PCMU)
    kept.add("c", b"cccc", PCMU)
    assert kept.get("a") is None
    assert kept.get("b") == b"bbbb"
    kept.add("a", b"more", PCMU)
    assert kept.get("a") is None, "the rest of an item is not its audio"
    assert kept.size_bytes == 8
    kept.add("c", b"c" * 7, PCMU)
    assert (kept.get("b"), kept.get("c")) == (None, None)
    assert kept.size_bytes == 0


def test_a_limit_of_nothing_keeps_nothing() -> None:
    kept = ItemAudio(0, AudioBudget(2**28))
    kept.add("a", b"a", PCMU)
    assert kept.get("a") is None
    assert kept.size_bytes == 0


def test_what_is_forgotten_is_free() -> None:
    kept = ItemAudio(10, AudioBudget(2**28))
    kept.add("a", b"aaaa", PCMU)
    kept.forget("a")
    kept.forget("a")
    assert kept.size_bytes == 0
    assert kept.get("a") is None
    kept.add("a", b"new", PCMU)
    assert kept.get("a") == b"new"


def test_at_the_end_all_is_free_and_stays_so() -> None:
    kept = ItemAudio(10, AudioBudget(2**28))
    kept.add("a", b"aaaa", PCMU)
    kept.clear()
    kept.clear()
    assert (kept.size_bytes, kept.get("a")) == (0, None)
    kept.add("b", b"late", PCMU)
    assert (kept.size_bytes, kept.get("b")) == (0, None)


ACTS = st.tuples(
    st.sampled_from(["add", "add", "add", "cut", "forget"]),
    st.sampled_from("abc"),
    st.integers(0, 40),
)


@given(st.lists(ACTS, max_size=60), st.integers(0, 100))
def test_it_counts_right_and_stays_in_bounds(acts: list[tuple[str, str, int]], limit: int) -> None:
    kept = ItemAudio(limit, AudioBudget(2**28))
    for act, item_id, number in acts:
        if act == "add":
            kept.add(item_id, bytes(number), PCMU)
        elif act == "cut":
            kept.cut(item_id, number)
            assert len(kept.get(item_id) or b"") <= number * 8
        else:
            kept.forget(item_id)
        assert kept.size_bytes == sum(len(kept.get(key) or b"") for key in "abc")
        assert kept.size_bytes <= limit


def test_together_they_keep_no_more_than_the_budget() -> None:
    budget = AudioBudget(10)
    much, little = ItemAudio(100, budget), ItemAudio(100, budget)
    little.add("first", b"111", PCMU)
    much.add("a", b"2222", PCMU)
    much.add("b", b"333", PCMU)
    assert budget.size_bytes == 10
    little.add("second", b"4", PCMU)
    assert much.get("a") is None, "who keeps most gives first"
    assert (much.get("b"), little.get("first"), little.get("second")) == (b"333", b"111", b"4")
    assert budget.size_bytes == 7
    much.cut("b", 0)
    little.forget("second")
    assert budget.size_bytes == 3
    little.clear()
    assert budget.size_bytes == 0
    much.add("c", b"c" * 11, PCMU)
    assert much.get("c") is None
    assert budget.size_bytes == much.size_bytes == 0
