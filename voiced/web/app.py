"""The HTTP application behind the front door: a quart-trio app with errors in the OpenAI shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from quart import request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from voiced.engines.owner import request_owner
from voiced.errors import VoicedError
from voiced.web.bodies import RefusalResponse, answer_error, answer_refusal
from voiced.web.refusal import Refusal, Refused, tell_of_refusal
from voiced.web.routes.chat import chat_routes
from voiced.web.routes.documents import add_documents
from voiced.web.routes.engines import engine_routes
from voiced.web.routes.jobs import job_routes
from voiced.web.routes.metrics import metric_routes
from voiced.web.routes.models import model_routes
from voiced.web.routes.secrets import secret_routes
from voiced.web.routes.speech import speech_routes
from voiced.web.routes.status import status_routes
from voiced.web.routes.transcriptions import transcription_routes
from voiced.web.streaming import StreamingConnection, StreamingRequest

if TYPE_CHECKING:
    from types import TracebackType

    from quart import Response

    from voiced.web.routes.status import StatusSource
    from voiced.web.services import Services

log = structlog.get_logger()

MESSAGES = {
    404: "There is nothing at this path. GET / says what there is.",
    405: "This path does not take this method.",
    413: "The request body is too large.",
}


class VoicedApp(QuartTrio):
    """quart-trio with bodies that are never held whole, and structured logging of what fails."""

    asgi_http_class = StreamingConnection
    request_class = StreamingRequest

    def log_exception(
        self,
        exception_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None],
    ) -> None:
        """Log an exception that a route raised; the client only learns that there was one."""
        log.error("http route failed", exc_info=exception_info)


def build_app(status: StatusSource, services: Services) -> VoicedApp:
    """Return the application: it tells about `status`, and its routes work with `services`.

    Pure: opens nothing, starts nothing. Every route has `@documents(...)` (`web/openapi.py`) and
    raises `Refused` or a `VoicedError`, never an answer of its own making, for what it does not
    serve.
    """
    app = VoicedApp("voiced.web", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=services.settings.limits.json_bytes,
        PROPAGATE_EXCEPTIONS=False,  # else an environment variable could put tracebacks on the wire
    )
    app.before_request(_own_requests)

    @app.after_request
    async def count(response: Response) -> Response:
        if isinstance(response, RefusalResponse):
            services.tally.error("http", response.refusal.code)
            tell_of_refusal(services.insights, response.refusal)
        return response

    app.register_blueprint(status_routes(status))
    app.register_blueprint(model_routes(services))
    app.register_blueprint(engine_routes(services))
    app.register_blueprint(metric_routes(services))
    app.register_blueprint(chat_routes(services))
    app.register_blueprint(secret_routes(services))
    app.register_blueprint(transcription_routes(services))
    app.register_blueprint(speech_routes(services))
    if services.jobs.kinds:
        app.register_blueprint(job_routes(services))
    add_documents(app)  # the last: it describes all others
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(VoicedError, _answer_voiced_error)
    app.register_error_handler(Refused, _answer_refused)
    return app


async def _own_requests() -> None:
    """Make engines work for the client's address: see `Services`."""
    request_owner.set(f"rest-{request.remote_addr}")


async def _answer_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    phrase = error.name  # werkzeug's: those of http.HTTPStatus differ between versions of Python
    code = phrase.lower().replace(" ", "_").replace("-", "_").replace("'", "")
    default = "The server failed to answer." if status >= 500 else f"{phrase}."
    headers = [
        (name, value)
        for name, value in error.get_headers()
        if name.lower() not in {"content-type", "content-length"}
    ]
    return answer_refusal(Refusal(status, code, MESSAGES.get(status, default), tuple(headers)))


async def _answer_voiced_error(error: VoicedError) -> Response:
    return answer_error(error)


async def _answer_refused(error: Refused) -> Response:
    return answer_refusal(error.refusal)
