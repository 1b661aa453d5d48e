"""The HTTP application behind the front door: a quart-trio app with errors in the OpenAI shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from quart import Response, json
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from voiced.errors import VoicedError
from voiced.web.refusal import error_body
from voiced.web.routes.status import status_routes

if TYPE_CHECKING:
    from types import TracebackType

    from voiced.web.routes.status import StatusSource

log = structlog.get_logger()

# No route takes more than a little JSON yet; one that takes audio raises it for itself.
BODY_BYTES = 1_048_576
MESSAGES = {
    404: "There is nothing at this path. GET / says what there is.",
    405: "This path does not take this method.",
    413: "The request body is too large.",
}


class VoicedApp(QuartTrio):
    """quart-trio with structured logging of what its routes raise."""

    def log_exception(
        self,
        exception_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None],
    ) -> None:
        """Log an exception that a route raised; the client only learns that there was one."""
        log.error("http route failed", exc_info=exception_info)


def build_app(status: StatusSource) -> VoicedApp:
    """Return the application, which tells about `status`. Pure: opens nothing, starts nothing."""
    app = VoicedApp("voiced.web", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_BYTES,
        PROPAGATE_EXCEPTIONS=False,  # else an environment variable could put tracebacks on the wire
    )
    app.register_blueprint(status_routes(status))
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(VoicedError, _answer_voiced_error)
    return app


async def _answer_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    phrase = error.name  # werkzeug's: those of http.HTTPStatus differ between versions of Python
    code = phrase.lower().replace(" ", "_").replace("-", "_").replace("'", "")
    default = "The server failed to answer." if status >= 500 else f"{phrase}."
    response = _json_response(error_body(status, code, MESSAGES.get(status, default)), status)
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


async def _answer_voiced_error(error: VoicedError) -> Response:
    if error.status >= 500:
        log.error("http route failed", error=str(error), code=error.code)
    return _json_response(error_body(error.status, error.code, error.public), error.status)


def _json_response(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")
