"""OpenAI's own Python SDK, unmodified, against a live daemon: text, streams and tools."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.patience import CEILING_S
from tests.realtime.live import daemon

PROGRAM = Path(__file__).with_name("openai_chat.py")
CLOCK = re.compile(r"^It is .*\b(past|to|o'clock|noon|midnight)\b")


def test_a_program_for_openai_converses_with_the_daemon(tmp_path: Path) -> None:
    with daemon(tmp_path, VOICED_LLM__ENGINE="assistant") as running:
        url = f"http://127.0.0.1:{running.port}/v1"
        done = subprocess.run(
            [sys.executable, str(PROGRAM), url],
            capture_output=True,
            timeout=CEILING_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        told = json.loads(done.stdout)
    # No tool was offered: the daemon's own told the time.
    assert CLOCK.search(told["whole"]), told["whole"]
    assert CLOCK.search(told["streamed"]), told["streamed"]
    assert told["finish"] == "stop"
    assert told["usage"] > 0
    # The lamp is the client's to switch.
    assert told["called"][0] == "set_light"
    assert told["helped"] == told["called"][1] != {}
    assert told["called_finish"] == "tool_calls"
    assert "lamp" in told["after"]
    assert told["refused"] == "messages[0].content[0].type"
    assert told["models"] == ["voiced", "assistant", "stub", "tts.stub"]
    assert told["missing"] == "model_not_found"
