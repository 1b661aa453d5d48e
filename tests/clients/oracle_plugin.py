"""The second oracle, at the end of a session of tests: every shape of server frame that the
first one let pass must be good for agents-realtime too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients import oracles

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

VERDICT = pytest.StashKey[tuple[str, list[str]]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Judge what was kept; a refused frame fails the run as a failed test does."""
    kept = list(oracles.shapes().frames.values())
    if not kept:
        return
    counted = f"{oracles.shapes().seen} server frames of {len(kept)} shapes"
    refused: list[str] = []
    try:
        reason = oracles.why_no_node()
        if reason is not None:
            session.config.stash[VERDICT] = (f"{counted}: not judged, since {reason}", [])
            return
        found = oracles.refused_by_zod([frame for _, frame in kept])
        for number, why in found.items():
            test, frame = kept[number]
            refused.append(f"{frame}\n  seen first by {test}\n  {why}")
    except Exception as exc:
        refused.append(str(exc))
    if refused:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    verdict = f"{counted}: {len(refused)} refused by agents-realtime"
    session.config.stash[VERDICT] = (verdict, refused)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say what was judged, and what was wrong with it."""
    verdict, refused = config.stash.get(VERDICT, ("", []))
    if not verdict:
        return
    terminalreporter.section("oracles", red=bool(refused), green=not refused)
    for line in [verdict, *refused]:
        terminalreporter.write_line(line)
