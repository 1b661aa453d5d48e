"""`/metrics`: figures for Prometheus and what else reads its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint, Response, request

from voiced.web.openapi import documents

if TYPE_CHECKING:
    from voiced.web.services import Services

MEMORY_S = 60.0
"""Memory changes over minutes, and looking at it costs milliseconds for each process."""


def metric_routes(services: Services) -> Blueprint:
    """Return the route that shows the metrics of `services`."""
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    @documents(
        "Figures for Prometheus",
        tag="operations",
        answers={200: {"text/plain": str, "application/openmetrics-text": str}},
    )
    async def metrics() -> Response:
        """In Prometheus' text format, or in OpenMetrics where `Accept` asks for that."""
        await services.inspector.weigh(MEMORY_S)
        text, content_type = await services.metrics.expose(request.headers.get("Accept", ""))
        response = Response(text, content_type=content_type)
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes
