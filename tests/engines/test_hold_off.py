"""While it is too hot, an engine works for conversations alone. No process takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.engines.test_dispatch import CONVERSATION, JOB, SPECULATION, Setup
from voiced.engines import wire
from voiced.engines.heat import follow_heat
from voiced.engines.host import EngineHost
from voiced.engines.spec import EngineSpec
from voiced.errors import EngineError, EngineUnavailable, TooHot
from voiced.thermal.heat import Heat, Level

if TYPE_CHECKING:
    from voiced.engines.call import Call

HOT = "The processor is too hot (86 °C)."


def test_all_but_conversation_is_cancelled_waiting_or_running() -> None:
    setup = Setup(slots=3, queue_size=9).attach()
    talk, guess, job = (
        setup.submit(*each) for each in (("talk",), ("guess", SPECULATION), ("job", JOB))
    )
    waits = [setup.submit(name, JOB) for name in ("job2", "job3")]
    assert setup.desk.hold_off(HOT) == 4
    assert [str(call.error) for call in (guess, job, *waits)] == [HOT] * 4
    assert all(isinstance(call.error, TooHot) for call in (guess, job, *waits))
    assert talk.error is None
    assert setup.link.started == ["talk", "guess", "job"]
    assert sorted(setup.link.cancelled) == [2, 3]
    assert (setup.desk.running, setup.desk.waiting) == (1, 0)


@pytest.mark.parametrize("priority", [SPECULATION, JOB])
def test_it_is_refused_with_a_reason_until_it_has_cooled_down(priority: int) -> None:
    setup = Setup().attach()
    setup.desk.hold_off(HOT)
    for _ in range(3):
        with pytest.raises(TooHot, match="too hot") as refused:
            setup.submit("no", type(JOB)(priority))
    assert isinstance(refused.value, EngineUnavailable)
    assert (refused.value.code, refused.value.status) == ("too_hot", 503)
    assert setup.desk.record.failures["too_hot"] == 3
    assert setup.link.sent == []
    assert setup.desk.hold_off(None) == 0
    setup.submit("yes", type(JOB)(priority))
    assert setup.link.started == ["yes"]


def test_conversation_goes_on_and_gets_the_slots() -> None:
    setup = Setup(slots=1, queue_size=9).attach()
    job = setup.submit("job", JOB)
    setup.desk.hold_off(HOT)
    talk = setup.submit("talk")
    setup.desk.receive(wire.Cancelled(1))
    setup.desk.receive(wire.Done(2, {"text": "hello"}))
    assert setup.link.started == ["job", "talk"]
    assert talk.over
    assert talk.error is None
    assert isinstance(job.error, TooHot)


def test_a_part_of_a_turn_is_no_work_in_advance() -> None:
    """The recogniser that listens while somebody speaks has a low priority, and stays."""
    setup = Setup(slots=2).attach()
    listens = setup.submit("listens", SPECULATION, in_turn=True)
    assert setup.desk.hold_off(HOT) == 0
    setup.submit("hears", SPECULATION, in_turn=True)
    assert listens.error is None
    assert setup.link.started == ["listens", "hears"]


def test_what_a_conversation_has_taken_over_is_spared() -> None:
    setup = Setup().attach()
    answer = setup.submit("answer", SPECULATION)
    answer.promote(CONVERSATION)
    assert setup.desk.hold_off(HOT) == 0
    assert answer.error is None


def test_audio_and_closing_of_what_was_ended_do_nothing() -> None:
    setup = Setup().attach()
    job: Call = setup.submit("job", JOB)
    setup.desk.hold_off(HOT)
    assert not job.offer_audio(b"\0\0")
    job.end_audio()
    job.close()
    assert setup.link.cancelled == [1]


@pytest.mark.parametrize("level", list(Level))
async def test_hosts_follow_the_level(level: Level) -> None:
    """Only critical holds off, from the start as well as later, and every change is one line."""
    heat = Heat()
    heat.tell(level, 50.0, "zone", ("the processor is at 50 °C",))
    host = EngineHost(EngineSpec(kind="llm", name="stub", target="", options={}))
    held: list[str | None] = []

    def hold_off(reason: str | None) -> int:
        held.append(reason)
        return 2 if reason else 0

    host.hold_off = hold_off  # type: ignore[method-assign] # a host without a process
    with capture_logs() as logged:
        follow_heat(heat, [host])
        heat.tell(Level.WARM, 76.0, "zone", ("the processor is at 76 °C",))
        heat.tell(Level.CRITICAL, 86.0, "zone", ("the processor is at 86 °C",))
        heat.tell(Level.HOT, 79.0, "zone", ("the processor is at 79 °C",))
    assert [reason is not None for reason in held] == {
        Level.CRITICAL: [True, False, True, False],
    }.get(level, [False, True, False])
    assert "(86 °C)" in str(held[-2])
    assert [line["requests"] for line in logged][-1:] == [{"llm.stub": 2}]


def test_it_is_an_error_of_engines() -> None:
    assert issubclass(TooHot, EngineError)
