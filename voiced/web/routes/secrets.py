"""`/v1/realtime/client_secrets`: short-lived keys that open `/v1/realtime` and nothing else."""

from __future__ import annotations

import secrets
import time
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal

import msgspec
from msgspec import Meta, Struct
from quart import Blueprint, Response

from voiced.conversation.config import (
    ConfigT,
    Rejected,
    SessionConfig,
    TranscriptionSessionConfig,
)
from voiced.conversation.snapshot import config_resource
from voiced.realtime.hub import opening_config
from voiced.realtime.secrets import Attached, TooManySecrets
from voiced.web.bodies import answer_json, read_json
from voiced.web.openapi import OneOf, documents
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from voiced.web.services import Services


class ExpiresAfter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the secret opens sessions; a session that it has opened goes on."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = 600


WANTED = Meta(
    description="Any part of a session, read like that of `session.update`.",
    extra_json_schema={
        "properties": {"type": {"enum": ["realtime", "transcription"]}},
        "required": ["type"],
    },
)


class ClientSecretRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make a client secret of; `{}` will do."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: Annotated[dict[str, Any], WANTED] | None = None


class ClientSecret(Struct, Generic[ConfigT], frozen=True, kw_only=True):
    """A client secret: `value` is the key, `session` what a session opened with it begins with."""

    value: Annotated[str, Meta(pattern="^ek_[A-Za-z0-9_]+$")]
    expires_at: int
    session: ConfigT


def secret_routes(services: Services) -> Blueprint:
    """Return the route that makes client secrets."""
    routes = Blueprint("secrets", __name__)

    @routes.post("/v1/realtime/client_secrets")
    @documents(
        "Make a client secret",
        tag="realtime",
        request=ClientSecretRequest,
        answers={
            200: OneOf(
                (ClientSecret[SessionConfig], ClientSecret[TranscriptionSessionConfig]),
            )
        },
    )
    async def client_secrets() -> Response:
        """A key for a browser, which opens `/v1/realtime` until it expires, and nothing else.

        It may open several sessions. They begin with the `session` object given here, which is
        read like that of `session.update`, and may change it.
        """
        request = await read_json(ClientSecretRequest)
        return answer_json(make_secret(services, request))

    return routes


def make_secret(services: Services, request: ClientSecretRequest) -> ClientSecret[Any]:
    """Make a secret for `request`, which shows the session as its `session.created` will.

    Raises `Refused`, and then none was made.
    """
    try:
        session = opening_config(services.settings, secrets.token_hex(8), defaults=request.session)
    except Rejected as why:
        raise Refused(Refusal(400, why.code, why.message, param=why.param)) from why
    attached = Attached()
    if request.session is not None:
        attached = Attached(session.type, msgspec.json.encode(request.session))
    seconds = request.expires_after.seconds
    try:
        value = services.client_secrets.make(attached, seconds)
    except TooManySecrets as full:
        raise Refused(
            Refusal(
                429,
                "too_many_client_secrets",
                "Too many client secrets are valid; one has to expire before the next is made.",
                (("Retry-After", str(max(1, ceil(full.retry_s)))),),
            )
        ) from full
    expires_at = int(time.time()) + seconds
    return ClientSecret(value=value, expires_at=expires_at, session=config_resource(session))
