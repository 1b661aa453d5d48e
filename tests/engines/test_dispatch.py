"""Which request runs when: order, slots, displacement. No process takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from voiced.engines import wire
from voiced.engines.call import keep_latest
from voiced.engines.dispatch import Dispatcher
from voiced.engines.ports import Priority
from voiced.engines.spec import MAX_AUDIO_S
from voiced.errors import EngineBusy, EngineCrashed, EngineFailed, EnginePreempted

if TYPE_CHECKING:
    from voiced.engines.call import Call

CONVERSATION, SPECULATION, JOB = Priority


class RecordingLink:
    congested = False

    def __init__(self) -> None:
        self.reader = wire.child_reader()
        self.sent: list[wire.ToChild] = []

    def send(self, frame: bytes) -> None:
        self.sent += self.reader.feed(frame)

    async def wait_room(self) -> None:
        raise AssertionError("never congested")

    @property
    def started(self) -> list[str]:
        return [message.params["name"] for message in self.sent if isinstance(message, wire.Run)]

    @property
    def cancelled(self) -> list[int]:
        return [message.id for message in self.sent if isinstance(message, wire.Cancel)]


class Setup:
    def __init__(self, slots: int = 1, queue_size: int = 4) -> None:
        self.now = 0.0
        self.desk = Dispatcher(
            "the engine",
            queue_size=queue_size,
            grace_s=2.0,
            clock=lambda: self.now,
            wake=lambda: None,
        )
        self.link = RecordingLink()
        self.slots = slots

    def attach(self) -> Setup:
        self.desk.attach(self.link, self.slots)
        return self

    def submit(self, name: str, priority: Priority = CONVERSATION, **changes: object) -> Call:
        arguments: dict[str, Any] = {
            "requeue": False,
            "merge": None,
            "max_parts": 8,
            "give_up_at": float("inf"),
        }
        return self.desk.submit("reply", {"name": name}, priority, **arguments | changes)


def test_waiting_requests_go_by_priority_and_then_by_arrival() -> None:
    setup = Setup(queue_size=9)
    for name, priority in (("j1", JOB), ("s1", SPECULATION), ("c1", CONVERSATION), ("j2", JOB)):
        setup.submit(name, priority)
    setup.submit("c2")
    setup.attach()
    for done in range(1, 5):
        setup.desk.receive(wire.Done(done, {}))
    assert setup.link.started == ["c1", "c2", "s1", "j1", "j2"]


def test_a_full_queue_refuses_and_takes_nothing() -> None:
    setup = Setup(queue_size=2).attach()
    setup.submit("runs")
    setup.submit("w1")
    setup.submit("w2")
    with pytest.raises(EngineBusy):
        setup.submit("w3")
    assert setup.desk.waiting == 2


def test_a_full_queue_makes_room_for_conversation_by_dropping_a_job() -> None:
    setup = Setup(queue_size=2).attach()
    setup.submit("runs")
    setup.submit("w1")
    job = setup.submit("job", JOB)
    setup.submit("w2")
    assert isinstance(job.error, EnginePreempted)
    assert setup.desk.waiting == 2


def test_owners_take_turns_however_much_one_of_them_has_asked_for() -> None:
    setup = Setup(queue_size=9).attach()
    for number in range(5):
        setup.submit(f"a{number}", owner="a")
    for name in ("b0", "b1", "c0"):
        setup.submit(name, owner=name[0])
    for done in range(1, 8):
        setup.desk.receive(wire.Done(done, {}))
    assert setup.link.started == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]


def test_whoever_waits_for_one_thing_at_a_time_is_served_by_arrival() -> None:
    setup = Setup(queue_size=9).attach()
    for number, name in enumerate("abcab", 1):
        setup.submit(name, owner=name)
        setup.desk.receive(wire.Done(number, {}))
    for name in ("runs", *"cab", "", "d"):
        setup.submit(name, owner=name)
    for done in range(6, 11):
        setup.desk.receive(wire.Done(done, {}))
    assert setup.link.started[5:] == ["runs", *"cab", "", "d"]


def test_nobody_can_fill_the_queue_for_others() -> None:
    setup = Setup(queue_size=4).attach()
    greedy = [setup.submit(f"a{number}", owner="a") for number in range(5)]
    with pytest.raises(EngineBusy):
        setup.submit("a5", owner="a")
    other = setup.submit("b0", owner="b")
    assert isinstance(greedy[-1].error, EngineBusy)
    assert setup.desk.waiting == 4
    setup.desk.receive(wire.Done(1, {}))
    assert setup.link.started == ["a0", "b0"]
    assert not other.over


def test_a_promoted_request_takes_its_turn_among_its_new_equals() -> None:
    setup = Setup(queue_size=9).attach()
    for number in range(3):
        setup.submit(f"a{number}", owner="a")
    setup.submit("a3", SPECULATION, owner="a").promote(CONVERSATION)
    setup.submit("b0", SPECULATION, owner="b").promote(CONVERSATION)
    for done in range(1, 5):
        setup.desk.receive(wire.Done(done, {}))
    assert setup.link.started == ["a0", "b0", "a1", "a2", "a3"]


def test_a_running_job_is_displaced_and_its_owner_told() -> None:
    setup = Setup().attach()
    job = setup.submit("job", JOB)
    talk = setup.submit("talk")
    assert isinstance(job.error, EnginePreempted)
    assert setup.link.started == ["job"], "the slot is free only when the cancel is acknowledged"
    setup.desk.receive(wire.Cancelled(1))
    assert setup.link.started == ["job", "talk"]
    setup.desk.receive(wire.Done(2, {"ok": True}))
    assert talk.over
    assert talk.error is None


def test_as_much_audio_waits_as_an_utterance_may_have_and_no_more() -> None:
    setup = Setup().attach()
    setup.submit("runs")
    waits = setup.submit("waits")
    second = bytes(32_000)
    for _ in range(int(MAX_AUDIO_S)):
        setup.desk.add_audio(waits, second)
    assert not waits.over
    setup.desk.add_audio(waits, b"ab")
    assert isinstance(waits.error, EngineFailed)
    assert setup.desk.waiting == 0


def test_a_displaced_request_that_may_be_repeated_runs_again_with_its_audio() -> None:
    setup = Setup().attach()
    early = setup.submit("early", SPECULATION, requeue=True)
    setup.desk.add_audio(early, b"ab")
    setup.desk.add_audio(early, b"cd")
    setup.submit("talk")
    setup.desk.add_audio(early, b"ef")
    early.end_audio()
    setup.desk.receive(wire.Cancelled(1))
    setup.desk.receive(wire.Done(2, {}))
    assert setup.link.started == ["early", "talk", "early"]
    again = [m for m in setup.link.sent if isinstance(m, wire.Audio | wire.End) and m.id == 3]
    assert again == [wire.Audio(3, b"ab"), wire.Audio(3, b"cd"), wire.Audio(3, b"ef"), wire.End(3)]
    setup.desk.receive(wire.Done(3, {"text": "whole"}))
    assert early.over
    assert early.error is None


def test_what_has_said_something_is_not_repeated() -> None:
    setup = Setup().attach()
    early = setup.submit("early", SPECULATION, requeue=True)
    setup.desk.receive(wire.Part(1, {"text": "a"}))
    setup.submit("talk")
    assert isinstance(early.error, EnginePreempted)


def test_no_more_is_displaced_than_is_needed() -> None:
    setup = Setup(slots=3).attach()
    jobs = [setup.submit(f"job{number}", JOB) for number in range(3)]
    setup.submit("talk1")
    assert [job.over for job in jobs] == [False, False, True], "the newest goes"
    setup.submit("talk2")
    assert [job.over for job in jobs] == [False, True, True]
    assert setup.link.cancelled == [3, 2]
    setup.desk.receive(wire.Cancelled(3))
    setup.desk.receive(wire.Cancelled(2))
    assert setup.link.started[3:] == ["talk1", "talk2"]


def test_equals_are_never_displaced() -> None:
    setup = Setup().attach()
    first = setup.submit("first")
    setup.submit("second")
    assert not first.over
    assert setup.link.cancelled == []


def test_promotion_moves_a_waiting_request_ahead_and_lets_it_displace() -> None:
    setup = Setup().attach()
    setup.submit("job", JOB)
    waiting = setup.submit("late", JOB)
    assert setup.link.cancelled == []
    waiting.promote(CONVERSATION)
    assert setup.link.cancelled == [1]
    setup.desk.receive(wire.Cancelled(1))
    assert setup.link.started == ["job", "late"]


def test_promotion_protects_a_running_request() -> None:
    setup = Setup().attach()
    early = setup.submit("early", SPECULATION)
    early.promote(CONVERSATION)
    setup.submit("other")
    assert not early.over


def test_closing_cancels_and_what_comes_late_is_dropped() -> None:
    setup = Setup().attach()
    call = setup.submit("first")
    call.close()
    call.close()
    assert setup.link.cancelled == [1]
    other = setup.submit("other")
    setup.desk.receive(wire.Part(1, {"stale": True}))
    setup.desk.receive(wire.Done(1, {"stale": True}))
    assert setup.link.started == ["first", "other"], "its late answer is as good as an ack"
    assert other.latest() is None
    assert not other.over


def test_closing_a_waiting_request_takes_it_out() -> None:
    setup = Setup().attach()
    setup.submit("runs")
    setup.submit("waits").close()
    assert setup.desk.waiting == 0
    assert setup.link.cancelled == []


def test_a_cancel_is_overdue_after_its_grace_unless_acknowledged() -> None:
    setup = Setup().attach()
    setup.submit("first").close()
    setup.now = 1.9
    assert not setup.desk.cancel_overdue()
    assert setup.desk.next_due() == 2.0
    setup.now = 2.0
    assert setup.desk.cancel_overdue()
    setup.desk.receive(wire.Cancelled(1))
    assert not setup.desk.cancel_overdue()


def test_a_reader_that_falls_behind_loses_its_own_request_only() -> None:
    setup = Setup(slots=2).attach()
    slow, other = setup.submit("slow", max_parts=2), setup.submit("other")
    for number in range(3):
        setup.desk.receive(wire.Part(1, {"n": number}))
    assert isinstance(slow.error, EngineFailed)
    assert setup.link.cancelled == [1]
    setup.desk.receive(wire.Part(2, {"n": 0}))
    assert other.latest() == {"n": 0}


def test_only_the_latest_part_is_kept_where_that_was_asked_for() -> None:
    setup = Setup().attach()
    call = setup.submit("partials", merge=keep_latest)
    for number in range(100):
        setup.desk.receive(wire.Part(1, {"n": number}))
    assert call.latest() == {"n": 99}
    assert not call.over


def test_a_crash_fails_what_ran_and_keeps_what_waited() -> None:
    setup = Setup().attach()
    ran, waited = setup.submit("ran"), setup.submit("waited")
    setup.desk.detach(EngineCrashed("gone"))
    assert isinstance(ran.error, EngineCrashed)
    assert not waited.over
    setup.attach()
    assert setup.link.started == ["ran", "waited"]


def test_without_an_engine_conversation_waits_until_its_time_is_over() -> None:
    setup = Setup()
    talk, job = setup.submit("talk"), setup.submit("job", JOB)
    setup.desk.limit_waiting(5.0, EngineFailed("restarting"))
    assert job.over
    setup.now = 4.9
    setup.desk.give_up(EngineFailed("restarting"))
    assert not talk.over
    setup.now = 5.0
    setup.desk.give_up(EngineFailed("restarting"))
    assert talk.over


def test_jobs_may_be_silent_for_long_and_others_not() -> None:
    setup = Setup(slots=2).attach()
    setup.submit("job", JOB)
    setup.now = 1000.0
    assert not setup.desk.stalled(60.0)
    setup.submit("talk")
    setup.now = 1061.0
    assert setup.desk.stalled(60.0)
    setup.desk.receive(wire.Part(2, {"text": "Yes"}))
    assert not setup.desk.stalled(60.0)


def test_who_says_that_it_goes_on_is_not_taken_for_dead_but_not_for_ever() -> None:
    setup = Setup().attach()
    call = setup.submit("long", requeue=True)
    for setup.now in range(0, 1201, 50):
        assert not setup.desk.stalled(60.0, 1200.0)
        setup.desk.receive(wire.Part(1, {}))
    assert call.latest() is None
    assert not call.emitted, "it can still be run anew"
    setup.now = 1201
    assert setup.desk.stalled(60.0, 1200.0)
    setup.desk.receive(wire.Part(1, {"text": "At last"}))
    assert not setup.desk.stalled(60.0, 1200.0)
    setup.now = 1262
    assert setup.desk.stalled(60.0, 1200.0)


def test_a_request_whose_audio_still_comes_in_does_not_stand_still() -> None:
    """Somebody muted the microphone in mid-word; the engine can do nothing about that."""
    setup = Setup().attach()
    call = setup.submit("heard")
    setup.desk.add_audio(call, b"ab")
    setup.now = 1000.0
    assert not setup.desk.stalled(60.0)
    call.end_audio()
    setup.now = 1060.0
    assert not setup.desk.stalled(60.0), "its time begins with the end of the audio"
    setup.now = 1061.0
    assert setup.desk.stalled(60.0)


def test_speculation_that_is_fed_no_longer_gives_up_its_slot() -> None:
    setup = Setup(slots=3).attach()
    unfed, fed = setup.submit("unfed", SPECULATION), setup.submit("fed", SPECULATION)
    finished = setup.submit("finished", SPECULATION)
    for call in (unfed, fed, finished):
        setup.desk.add_audio(call, b"ab")
    finished.end_audio()
    setup.now = 5.0
    setup.desk.add_audio(fed, b"cd")
    setup.desk.drop_unfed(5.0)
    assert setup.link.cancelled == []
    setup.now = 5.1
    setup.desk.drop_unfed(5.0)
    assert setup.link.cancelled == [1]
    assert isinstance(unfed.error, EnginePreempted)
    assert not fed.over
    assert not finished.over


def test_a_request_that_cannot_be_sent_fails_and_the_next_runs() -> None:
    setup = Setup().attach()
    bad = setup.desk.submit(
        "reply",
        {"name": object()},
        CONVERSATION,
        requeue=False,
        merge=None,
        max_parts=8,
        give_up_at=float("inf"),
    )
    assert isinstance(bad.error, EngineFailed)
    setup.submit("good")
    assert setup.link.started == ["good"]


def test_parts_that_come_after_the_end_of_their_request_are_counted() -> None:
    setup = Setup().attach()
    cancelled, done = setup.submit("cancelled"), setup.submit("done")
    cancelled.close()
    setup.desk.receive(wire.Part(1, {"said": "before it could know"}))
    assert setup.desk.stale_parts == 0
    setup.desk.receive(wire.Cancelled(1))
    setup.desk.receive(wire.Part(1, {"said": "after it knew"}))
    assert setup.desk.stale_parts == 1
    setup.desk.receive(wire.Done(2, {}))
    setup.desk.receive(wire.Part(2, {"said": "after it was done"}))
    assert setup.desk.stale_parts == 2
    assert done.over
