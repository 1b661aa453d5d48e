"""The files for Prometheus and Grafana: well formed, and about metrics that a daemon shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest
import yaml
from msgspec import Meta, Struct

from tests.readings.queries import PROMETHEUS, TARGET, Wrong, labels_of, metrics_of, parse
from voiced.readings import CHAPTERS
from voiced.readings.reference import rewritten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

CONFIG = Path(__file__).resolve().parents[2] / "config"
DASHBOARD = json.loads((CONFIG / "grafana" / "voiced.json").read_text())
OPERATIONS = (CONFIG.parent / "docs" / "operations.md").read_text()

Duration = Annotated[str, Meta(pattern=r"^([0-9]+(ms|s|m|h|d))+$")]
TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}")


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a file whose every key is known."""


class Alert(Strict, frozen=True, kw_only=True):
    alert: Annotated[str, Meta(pattern=r"^Voiced[A-Z][A-Za-z]+$")]
    expr: str
    for_: Duration = msgspec.field(default="0s", name="for")
    labels: dict[Literal["severity"], Literal["warning", "critical"]]
    annotations: dict[Literal["summary", "description"], Annotated[str, Meta(min_length=20)]]


class Group(Strict, frozen=True, kw_only=True):
    name: str
    rules: list[Alert]


class Rules(Strict, frozen=True, kw_only=True):
    groups: list[Group]


class Global(Strict, frozen=True, kw_only=True):
    scrape_interval: Duration
    scrape_timeout: Duration
    evaluation_interval: Duration


class Targets(Strict, frozen=True, kw_only=True):
    targets: list[str]


class Files(Strict, frozen=True, kw_only=True):
    files: list[str]


class Credentials(Strict, frozen=True, kw_only=True):
    credentials_file: str
    type: Literal["Bearer"] = "Bearer"


class Relabel(Strict, frozen=True, kw_only=True):
    target_label: str
    replacement: str


class Scrape(Strict, frozen=True, kw_only=True):
    job_name: str
    metrics_path: Literal["/metrics"] = "/metrics"
    scheme: Literal["http", "https"] = "http"
    authorization: Credentials | None = None
    static_configs: list[Targets] = []
    file_sd_configs: list[Files] = []
    relabel_configs: list[Relabel] = []


class Prometheus(Strict, frozen=True, kw_only=True):
    global_: Global = msgspec.field(name="global")
    rule_files: list[str]
    scrape_configs: list[Scrape]


def load(path: str) -> Any:  # noqa: ANN401 - YAML
    return yaml.safe_load((CONFIG / path).read_text())


RULES = msgspec.convert(load("prometheus-rules.yml"), Rules)
ALERTS = [alert for group in RULES.groups for alert in group.rules]


@pytest.fixture(scope="module")
def known(scraped: dict[str, Metric]) -> dict[str, frozenset[str]]:
    """The labels of every series that the daemon shows, and of what Prometheus adds."""
    series = dict(PROMETHEUS)
    for families in CHAPTERS.values():
        for family in families:
            assert family.name.removesuffix("_total") in scraped
            for name in family.series:
                ends = {"le"} if name.endswith("_bucket") else set()
                series[name] = TARGET | set(family.labels) | ends
    return series


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def test_prometheus_is_told_where_to_look_and_by_what_rules() -> None:
    config = msgspec.convert(load("prometheus.yml"), Prometheus)
    assert config.rule_files == ["prometheus-rules.yml"]
    assert [scrape.job_name for scrape in config.scrape_configs] == ["voiced", "voiced-remote"]
    near, far = config.scrape_configs
    assert near.static_configs == [Targets(targets=["127.0.0.1:8080"])]
    # A token goes out over TLS alone.
    assert [s.scheme for s in config.scrape_configs if s.authorization] == ["https"]
    assert far.relabel_configs == [Relabel(target_label="job", replacement=near.job_name)]


def test_names_of_alerts_are_used_once() -> None:
    names = [alert.alert for alert in ALERTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_an_alert_asks_for_what_there_is_and_says_what_to_do(
    alert: Alert, known: dict[str, frozenset[str]]
) -> None:
    labels = labels_of(parse(alert.expr), known)
    assert set(alert.annotations) == {"summary", "description"}
    for text in alert.annotations.values():
        for used in TEMPLATE.findall(text):
            name = used.split("|")[0].strip()
            if name.startswith("$labels."):
                assert name.removeprefix("$labels.") in labels, used
            else:
                assert name == "$value", used
    assert "{{ $labels.instance }}" in alert.annotations["summary"]
    assert f"`{alert.alert}`" in OPERATIONS


def test_each_part_that_may_fail_has_an_alert() -> None:
    asked = {name for alert in ALERTS for name in metrics_of(parse(alert.expr))}
    assert asked >= {
        "up",
        "voiced_ready",
        "voiced_heat_level",
        "voiced_engine_restarts_total",
        "voiced_engine_circuit_open",
        "voiced_engine_queue_depth",
        "voiced_loop_lag_p99_seconds",
        "voiced_turn_stage_seconds_bucket",
        "voiced_hearts_stale",
        "voiced_state_disk_free_bytes",
        "voiced_jobs_unfinished",
    }


def test_the_dashboard_loads_as_it_is() -> None:
    assert DASHBOARD["uid"] == "voiced"
    assert DASHBOARD["id"] is None  # Grafana gives it one
    assert "__inputs" not in DASHBOARD  # or provisioning would show a panel without data
    source, machine = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )
    assert machine["datasource"]["uid"] == "${datasource}"
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    assert rows == ["Is it well?", "Conversation", "Heat", "Engines", "Jobs"]


def test_the_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    "panel", [p for p in panels() if p["type"] != "row"], ids=lambda panel: panel["title"]
)
def test_a_panel_asks_for_what_there_is(
    panel: dict[str, Any], known: dict[str, frozenset[str]]
) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        labels = labels_of(parse(target["expr"]), known)
        assert set(TEMPLATE.findall(target["legendFormat"])) <= labels, target["expr"]
        assert '=~"$instance"' in target["expr"]


def test_the_dashboard_s_own_questions_are_about_what_there_is(
    known: dict[str, frozenset[str]],
) -> None:
    (alerts,) = (one for one in DASHBOARD["annotations"]["list"] if "expr" in one)
    labels_of(parse(alerts["expr"]), known)
    machine = DASHBOARD["templating"]["list"][1]
    assert machine["definition"] == machine["query"]["query"]
    asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", machine["definition"])
    assert asked is not None
    assert asked.group(2) in known[asked.group(1)]


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("voiced_temprature_celsius > 80", "there is no voiced_temprature_celsius"),
        ('voiced_engine_ready{name="a"} == 0', "no label name"),
        ("sum by (name) (voiced_engine_ready)", "no label name"),
        ("voiced_ready / on (engine) voiced_engine_ready", "no label engine"),
        ("voiced_engine_queue_depth > voiced_sessions", "never matches"),
        (
            "histogram_quantile(0.9, sum by (stage) (rate(voiced_turn_stage_seconds_bucket[5m])))",
            "no le",
        ),
        ("rate(voiced_turn_stage_seconds[5m])", "there is no voiced_turn_stage_seconds"),
        ("sum by (le (voiced_ready)", "sum by (le (voiced_ready): "),
    ],
)
def test_a_query_for_what_is_not_there_is_found(
    query: str, fault: str, known: dict[str, frozenset[str]]
) -> None:
    with pytest.raises(Wrong, match=re.escape(fault)):
        labels_of(parse(query), known)


@pytest.mark.parametrize("kind", ["datasources", "dashboards"])
def test_grafana_is_told_where_things_are(kind: str) -> None:
    told = load(f"grafana/provisioning/{kind}/voiced.yml")
    assert told["apiVersion"] == 1
    if kind == "datasources":
        (source,) = told["datasources"]
        assert (source["type"], source["access"]) == ("prometheus", "proxy")
        interval = load("prometheus.yml")["global"]["scrape_interval"]
        assert source["jsonData"]["timeInterval"] == interval
    else:
        (provider,) = told["providers"]
        assert provider["type"] == "file"
        assert provider["options"]["path"] in OPERATIONS


def test_the_page_has_every_metric_and_every_alert_and_no_other() -> None:
    assert rewritten(OPERATIONS) == OPERATIONS, "run python -m voiced.readings.reference"
    named = set(re.findall(r"`(Voiced[A-Za-z]+)`", OPERATIONS))
    assert named == {alert.alert for alert in ALERTS}
    series = {name for families in CHAPTERS.values() for f in families for name in f.series}
    series |= {family.name for families in CHAPTERS.values() for family in families}
    assert set(re.findall(r"\b(voiced_[a-z_]+[a-z])\b", OPERATIONS)) <= series


def test_a_page_without_a_place_for_the_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match="the page needs"):
        rewritten("# Operations\n")
