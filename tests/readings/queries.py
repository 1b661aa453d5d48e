"""What a query in PromQL asks for, and which labels its answer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Known = Mapping[str, frozenset[str]]

TARGET = frozenset({"instance", "job"})
"""Labels that Prometheus gives to all that it scrapes."""

PROMETHEUS: dict[str, frozenset[str]] = {
    "up": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate", "severity"},
}
"""What Prometheus adds by itself."""


class Wrong(Exception):
    """A query asks for what is not there."""


def parse(query: str) -> promql.Expr:
    """Read a query, with variables of Grafana in it or without."""
    for variable, value in (("$__rate_interval", "1m"), ("$instance", ".*")):
        query = query.replace(variable, value)
    try:
        return promql.parse(query)
    except ValueError as error:
        raise Wrong(f"{query}: {error}") from error


def labels_of(node: Any, known: Known) -> frozenset[str]:  # noqa: ANN401 - nodes have no common type
    """The labels of the answer. Raises `Wrong` for a metric or a label that nobody has.

    `known` has the labels of each series that can be asked for, those of the target included.
    """
    match node:
        case promql.VectorSelector():
            name = node.name or ""
            if name not in known:
                raise Wrong(f"there is no {name}")
            used = {matcher.name for matcher in node.matchers.matchers}
            return checked(used, known[name], node.prettify())
        case promql.MatrixSelector():
            return labels_of(node.vector_selector, known)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return labels_of(node.expr, known)
        case promql.AggregateExpr():
            return aggregated(node, labels_of(node.expr, known))
        case promql.Call():
            found = [labels_of(argument, known) for argument in node.args]
            ends = {"le"} if node.func.name == "histogram_quantile" else set()
            if ends and "le" not in found[-1]:
                raise Wrong(f"{node.prettify()}: there is no le in it")
            return frozenset().union(*found) - ends
        case promql.BinaryExpr():
            return joined(node, labels_of(node.lhs, known), labels_of(node.rhs, known))
        case promql.NumberLiteral() | promql.StringLiteral():
            return frozenset()
    raise AssertionError(f"no case for {type(node)}")


def aggregated(node: promql.AggregateExpr, inner: frozenset[str]) -> frozenset[str]:
    """The labels that an aggregation leaves."""
    if node.modifier is None:
        return frozenset()
    named = frozenset(node.modifier.labels)
    checked(set(named), inner, node.prettify())
    kept = node.modifier.type == promql.AggModifierType.By
    return named if kept else inner - named


def joined(node: promql.BinaryExpr, left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    """The labels of what comes of two sides; a number has none, and changes none."""
    if is_number(node.rhs) or is_number(node.lhs):
        return left | right
    matching = node.modifier.matching if node.modifier is not None else None
    if matching is None:
        if left != right:
            raise Wrong(f"{node.prettify()}: {sorted(left)} never matches {sorted(right)}")
        return left
    checked(set(matching.labels), left & right, node.prettify())
    return left


def is_number(node: Any) -> bool:  # noqa: ANN401 - as in `labels_of`
    """Whether that is one number, and no series."""
    if isinstance(node, promql.Call):
        return node.func.name in {"time", "scalar"}
    return isinstance(node, promql.NumberLiteral)


def checked(used: set[str], there: frozenset[str], query: str) -> frozenset[str]:
    """`there`, where all that are used are."""
    if missing := used - there:
        raise Wrong(f"{query}: there is no label {', '.join(sorted(missing))}")
    return there


def metrics_of(node: Any) -> Iterator[str]:  # noqa: ANN401 - as in `labels_of`
    """The names that a query asks for."""
    found: list[str] = []

    def visit(part: Any) -> bool:  # noqa: ANN401
        if isinstance(part, promql.VectorSelector):
            found.append(part.name or "")
        return True

    promql.walk(node, visit)
    return iter(found)
