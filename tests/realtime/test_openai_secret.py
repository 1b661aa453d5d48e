"""Client secrets by OpenAI's own Python SDK, unmodified, over http and https."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import CEILING_S
from tests.realtime.live import secure_daemon

PROGRAM = Path(__file__).with_name("openai_secret.py")
TOKEN = "s3cret-token"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_check_48_the_sdk_makes_a_secret_and_opens_a_session_with_it(
    scheme: str, tmp_path: Path
) -> None:
    environ = {"VOICED_AUTH__TOKEN": TOKEN, "VOICED_AUTH__TOKEN_ON_LOOPBACK": "true"}
    with secure_daemon(tmp_path, **environ) as running:
        port = running.secure_port if scheme == "https" else running.port
        done = subprocess.run(
            [sys.executable, str(PROGRAM), f"{scheme}://127.0.0.1:{port}/v1", TOKEN],
            env={**os.environ, "SSL_CERT_FILE": str(running.ca)},
            capture_output=True,
            timeout=CEILING_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        told = json.loads(done.stdout)
    assert (told["type"], told["value"]) == ("ClientSecretCreateResponse", "ek_")
    assert told["created"]["type"] == "session.created"
    session = told["created"]["session"]
    assert session["model"] == "gpt-realtime-2.1"
    assert session["instructions"] == "Whisper."
    assert session["audio"]["output"]["speed"] == 1.25
    volatile = ("id", "expires_at", "voiced")
    assert {k: v for k, v in session.items() if k not in volatile} == {
        k: v for k, v in told["told"].items() if k not in volatile
    }
    assert told["status"] == "completed"
    assert told["guest"]["code"] == "invalid_api_key"
    assert (told["bad"]["code"], told["bad"]["param"]) == ("unknown_parameter", "session.a")
