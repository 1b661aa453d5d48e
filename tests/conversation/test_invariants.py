"""The ten invariants of the design, and three more about the audio kept, answers begun in advance
and summaries, over random walks; and that each breach is noticed.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conversation.broken import BREAKS, Break
from tests.conversation.walks import Walk, Watched, WatchedByChecks, WatchedByObserver

WALKS = settings(
    max_examples=400,
    stateful_step_count=80,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# A breach need only be found, not told in the shortest way.
SEARCH = settings(
    WALKS,
    max_examples=400,
    phases=[Phase.generate],
    verbosity=Verbosity.quiet,
    report_multiple_bugs=False,
    print_blob=False,
)


def test_the_invariants_hold_after_every_step_of_any_walk() -> None:
    run_state_machine_as_test(Walk, settings=WALKS)


@pytest.mark.parametrize(("number", "breach"), BREAKS)
def test_a_breach_of_each_invariant_is_seen(
    number: int, breach: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    breach(monkeypatch)
    with pytest.raises(Watched) as seen:
        run_state_machine_as_test(WatchedByObserver, settings=SEARCH)
    assert number in seen.value.numbers


@pytest.mark.parametrize(("number", "breach"), BREAKS)
def test_the_checks_of_a_running_session_see_it_too(
    number: int, breach: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    breach(monkeypatch)
    with pytest.raises(Watched) as seen:
        run_state_machine_as_test(WatchedByChecks, settings=SEARCH)
    assert number in seen.value.numbers
