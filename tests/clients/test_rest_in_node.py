"""OpenAI's client for Node, unmodified, over HTTP against a live daemon with its default engines.

What it has said is transcribed again, in every format, and understood: a whole way through the
encoder, the network, the decoder and both engines.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.clients.oracles import why_no_node
from tests.clients.test_vendor_clients import DEFAULT_ENGINES, PROGRAMS, VOICE
from tests.patience import CEILING_S
from tests.realtime.live import daemon

if TYPE_CHECKING:
    from pathlib import Path

SAID = "turn on the kitchen lights"


def test_a_program_for_node_speaks_transcribes_and_converses(tmp_path: Path) -> None:
    if (reason := why_no_node()) is not None:
        pytest.skip(reason)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "VOICED_"))}
    with daemon(tmp_path, **DEFAULT_ENGINES) as running:
        url = f"http://127.0.0.1:{running.port}/v1"
        done = subprocess.run(
            ["node", str(PROGRAMS / "openai_rest.mjs"), url, VOICE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CEILING_S,
            check=False,
            env=kept,
        )
        assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["heard"] == dict.fromkeys(("mp3", "opus", "aac", "flac", "wav"), SAID)

    shapes = told["shapes"]
    assert shapes["text"] == f"{SAID}\n"
    assert shapes["srt"].startswith("1\n00:00:0")
    assert shapes["srt"].endswith(f"\n{SAID}\n\n")
    assert shapes["vtt"].startswith("WEBVTT\n\n00:00:0")
    assert [word["word"] for word in shapes["verbose_json"]["words"]] == SAID.split()
    (segment,) = shapes["verbose_json"]["segments"]
    assert segment["text"] == SAID
    assert segment["start"] <= shapes["verbose_json"]["words"][0]["start"]
    assert told["events"] == [
        {"type": "transcript.text.delta", "delta": SAID},
        {"type": "transcript.text.done", "text": SAID},
    ]

    assert told["streamed"].startswith("It is ")
    assert told["called"] == {"room": "kitchen", "state": "on"}
    assert told["answer"].startswith("The lamps above the stove")
    assert told["models"] == ["voiced", "assistant", "phrases", "espeak"]
    assert told["secret"].startswith("ek_")
    assert told["refused"] == [
        ["BadRequestError", "invalid_audio", None],
        ["NotFoundError", "model_not_found", "model"],
        ["BadRequestError", "array_below_min_length", "messages"],
    ]
