"""What `/metrics` of a living daemon shows, and that it is what the documentation says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.readings.conftest import OPENMETRICS, fetch, parse
from voiced.readings import CHAPTERS
from voiced.telemetry.tally import STAGES

if TYPE_CHECKING:
    from prometheus_client import Metric

    from tests.realtime.live import Daemon

FAMILIES = [family for families in CHAPTERS.values() for family in families]


def values(scraped: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """The samples called `name` by the values of their labels, in the order of its family."""
    (family,) = (family for family in FAMILIES if family.name == name)
    return {
        tuple(sample.labels[label] for label in family.labels): sample.value
        for sample in scraped[name.removesuffix("_total")].samples
        if sample.name == name
    }


def count(scraped: dict[str, Metric], name: str, **labels: str) -> float:
    """How many durations a histogram with these labels, among others, has taken in."""
    return sum(
        sample.value
        for sample in scraped[name].samples
        if sample.name == f"{name}_count" and labels.items() <= sample.labels.items()
    )


def test_both_formats_parse_and_tell_the_same(busy_daemon: Daemon) -> None:
    text, content_type = fetch(busy_daemon, "/metrics")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert "# EOF" not in text
    open_text, content_type = fetch(busy_daemon, "/metrics", OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert open_text.endswith("# EOF\n")
    assert open_text.count("# EOF") == 1
    names = {family.name for family in plain(text)}
    assert names == {family.name for family in parse(open_text)}


@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text; version=ten", ";,;"])
def test_who_asks_for_what_there_is_not_gets_one_of_the_two(
    busy_daemon: Daemon, accept: str
) -> None:
    text, content_type = fetch(busy_daemon, "/metrics", accept)
    assert content_type.startswith(("text/plain", "application/openmetrics-text"))
    assert "voiced_build_info{" in text


def test_every_metric_is_described_as_it_is(scraped: dict[str, Metric]) -> None:
    described = {family.name.removesuffix("_total"): family for family in FAMILIES}
    assert set(scraped) == set(described)
    for name, metric in scraped.items():
        family = described[name]
        assert (metric.type, metric.documentation) == (family.kind, family.help), name
        for sample in metric.samples:
            assert sample.name in family.series, name
            assert set(sample.labels) - {"le"} == set(family.labels), name


def test_the_conventions_of_prometheus_are_kept() -> None:
    for family in FAMILIES:
        assert family.name.endswith("_total") is (family.kind == "counter"), family.name
        if family.kind == "histogram":
            assert family.name.endswith("_seconds"), family.name
        assert family.help.endswith("."), family.name
        assert not {"le", "quantile", "session", "job", "instance"} & set(family.labels)


def test_what_happened_is_there(scraped: dict[str, Metric]) -> None:
    assert values(scraped, "voiced_ready") == {(): 1}
    assert values(scraped, "voiced_responses_total")[("completed",)] == 2
    assert values(scraped, "voiced_sessions_opened_total") == {(): 1}
    assert values(scraped, "voiced_sessions") == {(): 0}
    assert values(scraped, "voiced_errors_total") == {
        ("realtime", "response_cancel_not_active"): 1,
        ("http", "engine_not_found"): 1,
    }
    assert count(scraped, "voiced_turn_stage_seconds", stage="whole") == 1
    assert count(scraped, "voiced_turn_stage_seconds", stage="stt") == 1
    assert count(scraped, "voiced_turn_stage_seconds", stage="answer") == 2
    assert {sample.labels["stage"] for sample in scraped["voiced_turn_stage_seconds"].samples} == {
        "endpointing",
        "whole",
        *STAGES.values(),
    }
    for kind, engine in (("stt", "phrases"), ("llm", "assistant"), ("tts", "espeak")):
        labels = {"kind": kind, "engine": engine}
        assert values(scraped, "voiced_engine_ready")[kind, engine] == 1
        assert values(scraped, "voiced_engine_restarts_total")[kind, engine] == 0
        assert count(scraped, "voiced_engine_stage_seconds", stage="whole", **labels) >= 1
    assert count(scraped, "voiced_engine_stage_seconds", kind="tool", engine="get_time") == 1
    assert values(scraped, "voiced_engine_failures_total") == {}
    assert count(scraped, "voiced_vad_run_seconds") > 0
    assert count(scraped, "voiced_loop_lag_seconds") > 0


def test_what_the_daemon_takes_of_the_machine_is_there(scraped: dict[str, Metric]) -> None:
    memory = values(scraped, "voiced_memory_pss_bytes")
    assert set(memory) == {("daemon",), ("stt.phrases",), ("llm.assistant",), ("tts.espeak",)}
    assert all(size > 2**20 for size in memory.values())
    free, size = (
        values(scraped, f"voiced_state_disk_{which}_bytes")[()] for which in ("free", "size")
    )
    assert 0 < free <= size
    hearts = values(scraped, "voiced_heart_age_seconds")
    assert set(hearts) == set(values(scraped, "voiced_heart_limit_seconds"))
    assert {("door",), ("sessions",), ("audio",)} <= set(hearts)


def test_a_session_leaves_no_label(scraped: dict[str, Metric]) -> None:
    """Labels are bounded: nothing in them grows with what people do."""
    for metric in scraped.values():
        for sample in metric.samples:
            for value in sample.labels.values():
                assert "sess_" not in value
                assert len(value) < 64
