"""A program for OpenAI's Python SDK: makes client secrets, and opens sessions with them.

Run by `test_openai_secret.py` with a base URL and a token; prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import AuthenticationError, BadRequestError, OpenAI


def main(base_url: str, token: str) -> None:
    owner = OpenAI(base_url=base_url, api_key=token, max_retries=0)
    secret = owner.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={
            "type": "realtime",
            "model": "gpt-realtime-2.1",
            "instructions": "Whisper.",
            "output_modalities": ["text"],
            "audio": {"output": {"speed": 1.25}},
        },
    )
    guest = OpenAI(base_url=base_url, api_key=secret.value, max_retries=0)
    with guest.realtime.connect() as connection:
        created = connection.recv()
        connection.response.create()
        done: Any = next(event for event in connection if event.type == "response.done")
    print(
        json.dumps(
            {
                "type": type(secret).__name__,
                "value": secret.value[:3],
                "told": secret.session.to_dict(),
                "created": created.to_dict(),
                "status": done.response.status,
                "guest": refusal(guest, AuthenticationError, {}),
                "bad": refusal(owner, BadRequestError, {"session": {"type": "realtime", "a": 1}}),
            }
        )
    )


def refusal(client: OpenAI, kind: type[Exception], request: Any) -> Any:  # noqa: ANN401  # wrong on purpose
    try:
        client.realtime.client_secrets.create(**request)
    except kind as error:
        return getattr(error, "body", None)
    raise SystemExit("was not refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
