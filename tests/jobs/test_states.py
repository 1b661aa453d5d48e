"""The states of a job: no way out of the last ones, and a way on from all others."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.jobs.states import OVER, STATUSES, WAITING, Event, Status, WrongState, after

EVENTS: tuple[Event, ...] = get_args(Event)
ENDS: tuple[Event, ...] = ("complete", "fail", "cancel")


def follow(events: list[Event]) -> list[Status]:
    """The states that a new job is led through; what cannot happen changes nothing."""
    states: list[Status] = ["queued"]
    for event in events:
        try:
            states.append(after(states[-1], event))
        except WrongState:
            states.append(states[-1])
    return states


@given(st.lists(st.sampled_from(EVENTS)))
def test_nothing_leads_out_of_a_state_in_which_it_is_over(events: list[Event]) -> None:
    states = follow(events)
    ends = [place for place, state in enumerate(states) if state in OVER]
    if ends:
        assert len({*states[ends[0] :]}) == 1


@given(st.lists(st.sampled_from(EVENTS)))
def test_a_job_that_is_not_over_can_always_be_cancelled_run_and_completed(
    events: list[Event],
) -> None:
    state = follow(events)[-1]
    if state in OVER:
        return
    assert after(state, "cancel") == "cancelled"
    assert after(state, "fail") == "failed"
    if state in WAITING:
        state = after(state, "begin")
    assert after(state, "complete") == "completed"


@given(st.lists(st.sampled_from(EVENTS)))
def test_only_a_run_completes_a_job(events: list[Event]) -> None:
    states = follow(events)
    for before, event, now in zip(states, events, states[1:], strict=False):
        if now == "completed" and before != "completed":
            assert (before, event) == ("running", "complete")


@pytest.mark.parametrize("status", STATUSES)
def test_every_state_is_reached_or_where_a_job_begins(status: Status) -> None:
    reached = {"queued"}
    for before in STATUSES:
        for event in EVENTS:
            try:
                reached.add(after(before, event))
            except WrongState:
                continue
    assert status in reached
