"""The hub of the insights stream: what observers get of what the parts tell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio.testing

from voiced.telemetry.insights import (
    Fault,
    Frame,
    Insights,
    Metadata,
    Observer,
    PartialResult,
    PluginStatus,
    Progress,
    Warning_,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def status(percent: float, job: str = "job_1") -> Progress:
    return Progress(job_id=job, kind="transcription", status="running", percent=percent)


def heat(message: str = "The processor is hot.") -> Warning_:
    return Warning_(code="hot", message=message, subject="cpu_thermal")


async def drain(observer: Observer) -> list[dict[str, Any]]:
    """All that waits for it now."""
    got: list[dict[str, Any]] = []
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            while (text := await observer.get()) is not None:
                got.append(msgspec.json.decode(text))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return got


async def test_an_observer_gets_what_happens_in_order() -> None:
    insights = Insights()
    with insights.watch() as observer:
        insights.frame(Frame(job_id="job_1", index=0, start_s=0, end_s=1.5, text="one"))
        insights.progress(status(10))
        insights.warning(heat())
        got = await drain(observer)
    assert [message["type"] for message in got] == ["frame", "progress", "warning"]
    assert got[0]["payload"]["text"] == "one"
    assert got[0]["timestamp"].endswith("Z")


async def test_one_who_does_not_read_gets_the_newest_and_is_told_what_it_stands_for() -> None:
    insights = Insights()
    with insights.watch() as observer:
        for index in range(5):
            insights.frame(Frame(job_id="a", index=index, start_s=0, end_s=1, text="words"))
        insights.warning(heat())
        insights.warning(heat())
        insights.progress(status(1))
        got = [message["payload"] for message in await drain(observer)]
    assert (got[0]["index"], got[0]["coalesced"]) == (4, 4)
    assert (got[1]["code"], got[1]["coalesced"]) == ("hot", 1)
    assert (got[2]["percent"], got[2]["coalesced"]) == (1.0, 0)


async def test_what_was_left_out_is_told_and_warnings_are_not_among_it() -> None:
    insights = Insights(most=3)
    with insights.watch() as observer:
        for job in range(5):
            insights.progress(status(1, f"job_{job}"))
        insights.warning(heat())
        got = await drain(observer)
    assert got[0]["payload"]["code"] == "observer_behind"
    assert got[0]["payload"]["coalesced"] == 3
    assert [m["payload"].get("job_id") for m in got[1:]] == ["job_3", "job_4", None]


async def test_one_with_nothing_but_unread_warnings_is_ended_not_robbed() -> None:
    insights = Insights(most=2)
    with insights.watch() as observer:
        for number in range(3):
            insights.warning(heat(f"warning {number}"))
        assert await observer.get() is None
        assert observer.end is not None
        assert observer.end.code == 1008


@pytest.mark.parametrize(
    "wrong",
    [
        Progress(job_id="a", kind="speech", status="running", percent=math.nan),
        Progress(job_id="a", kind="speech", status="running", percent=100.5),
        Progress(job_id="a", kind="speech", status="asleep", percent=1),  # type: ignore[arg-type]
        Frame(job_id="a", index=0, start_s=0, end_s=math.inf, text=""),
        Frame(job_id="a", index=0, start_s=0, end_s=1, text="x" * 20_001),
        Frame(job_id="a", index=0, start_s=0, end_s=1, text="\ud800"),
        Frame(job_id="a", index=0, start_s=0, end_s=1, text=b"bytes"),  # type: ignore[arg-type]
        Frame(job_id="a", index=0, start_s=0, end_s=1, text=object()),  # type: ignore[arg-type]
        Fault(code="Not a code", message="m"),
        Fault(code="ok", message=""),
    ],
)
async def test_what_is_wrong_in_itself_becomes_an_error(wrong: Progress | Frame | Fault) -> None:
    insights = Insights()
    with insights.watch() as observer:
        if isinstance(wrong, Progress):
            insights.progress(wrong)
        elif isinstance(wrong, Frame):
            insights.frame(wrong)
        else:
            insights.error(wrong)
        insights.progress(status(1))
        got = await drain(observer)
    assert [message["type"] for message in got] == ["error", "progress"]
    assert got[0]["payload"]["code"] == "invalid_message"


async def test_a_newcomer_learns_how_things_are_and_what_went_wrong_lately() -> None:
    insights = Insights()

    def engines() -> Iterator[PluginStatus | Metadata]:
        yield PluginStatus(kind="stt", name="phrases", state="ready")
        yield Metadata(version="1", uptime_s=1, sessions=0, observers=0, engines={}, heat="normal")

    def broken() -> list[PluginStatus]:
        raise RuntimeError("a source with a fault")

    insights.add_source(engines)
    insights.add_source(broken)
    insights.warning(heat())
    insights.warning(heat())
    insights.progress(status(5))  # nobody saw it, and it is not a state
    with insights.watch() as observer:
        got = await drain(observer)
    assert [message["type"] for message in got] == ["metadata", "plugin_status", "warning"]
    assert got[0]["payload"]["snapshot"] == 2
    assert got[2]["payload"]["coalesced"] == 1


async def test_types_choose_from_snapshot_and_stream() -> None:
    insights = Insights()
    insights.warning(heat())
    insights.error(Fault(code="engine_crashed", message="The voice crashed."))
    with insights.watch({"error", "progress"}) as observer:
        insights.progress(status(1))
        insights.warning(heat())
        assert insights.wanted("progress")
        assert not insights.wanted("frame")
        got = await drain(observer)
    assert [message["type"] for message in got] == ["error", "progress"]
    assert not insights.wanted("progress")


@pytest.mark.parametrize(("transcripts", "text"), [(False, None), (True, "what time is it")])
async def test_what_people_say_is_told_only_where_the_settings_allow(
    transcripts: bool, text: str | None
) -> None:
    insights = Insights(transcripts=transcripts)
    said = PartialResult(session_id="sess_1", state="hearing", text="what time is it")
    insights.add_source(lambda: [said])
    with insights.watch() as observer:
        insights.partial_result(said)
        got = await drain(observer)
    assert [message["payload"]["text"] for message in got] == [text, text]


async def test_goodbye_ends_all_observers_and_those_who_come_later() -> None:
    insights = Insights()
    with insights.watch() as observer:
        insights.progress(status(99))
        insights.say_goodbye()
        insights.progress(status(100))
        assert msgspec.json.decode(await observer.get() or "")["payload"]["percent"] == 99
        assert await observer.get() is None
        assert observer.end is not None
        assert observer.end.code == 1001
    with insights.watch() as late:
        assert await late.get() is None
    assert insights.observers == 0
