"""The vendors' own clients, unmodified, as programs of their own against a live daemon with its
default engines, over plain WebSockets and TLS: check 49 of the protocol sheet.

Each makes a typed turn, a spoken turn that calls one of its functions, and a barge-in. Speech is
eSpeak NG's, in the one voice of it that the built-in recogniser understands as it does people:
120 of 120 sentences at random speed, level, offset and noise, where the default voice has about
half. The programs run side by side, since most of their time is listening and talking.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.clients.oracles import why_no_node
from tests.patience import CEILING_S
from tests.realtime.live import Daemon, make_speech, secure_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path(__file__).resolve().parent / "programs"

AT_ONCE = 5
VOICE = "en-us+klatt4"
SPOKEN = {"command": "turn on the kitchen lights", "question": "what time is it"}
OUTPUT = "The lamps above the stove are burning now, and the one over the table is dimmed to half."
DEFAULT_ENGINES = {
    "VOICED_STT__ENGINE": "phrases",
    "VOICED_LLM__ENGINE": "assistant",
    "VOICED_TTS__ENGINE": "espeak",
}

NODE = ("node", "--experimental-websocket")  # on by itself from Node 22 on
RUNS = {
    f"{program}-{scheme}": (command, program, scheme)
    for command, program, schemes in [
        ((sys.executable,), "openai_sync.py", ("http", "https")),
        ((sys.executable,), "openai_async.py", ("http", "https")),
        ((sys.executable,), "agents_python.py", ("ws", "wss")),
        (NODE, "openai_ws.mjs", ("https",)),  # dials nothing but wss
        (NODE, "openai_websocket.mjs", ("https",)),
        (NODE, "openai_websocket_plain.mjs", ("http",)),
        (NODE, "agents_realtime.mjs", ("ws", "wss")),
    ]
    for scheme in schemes
}


class Ended(NamedTuple):
    """How a program ended, and what it printed."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """The JSON object on its last line, where it ended well."""
        assert self.code == 0, f"exit code {self.code}\n{self.stdout}\n{self.stderr}"
        report: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return report


def run(name: str, daemon: Daemon, speech: Path) -> Ended:
    """Run one program to its end, in a thread of its own."""
    command, program, scheme = RUNS[name]
    secure = scheme in {"https", "wss"}
    port = daemon.secure_port if secure else daemon.port
    path = "/v1" if scheme.startswith("http") else "/v1/realtime"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "VOICED_"))}
    trust = {"SSL_CERT_FILE": str(daemon.ca), "NODE_EXTRA_CA_CERTS": str(daemon.ca)}
    process = subprocess.Popen(
        [*command, str(PROGRAMS / program), f"{scheme}://127.0.0.1:{port}{path}", str(speech)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, **(trust if secure else {}), "OPENAI_AGENTS_DISABLE_TRACING": "1"},
    )
    try:
        stdout, stderr = process.communicate(timeout=CEILING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        stdout, stderr = process.communicate()
        return Ended(None, stdout, stderr)
    return Ended(process.returncode, stdout, stderr)


def asked_for(request: pytest.FixtureRequest) -> list[str]:
    """The programs that this run of pytest wants and that can be run here."""
    names = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if item.parent is request.node and isinstance(item, pytest.Function)
    ]
    return [name for name in names if RUNS[name][0] != NODE or why_no_node() is None]


@pytest.fixture(scope="module")
def ended(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Ended]]:
    """How each program ended; the daemon must have stayed content."""
    folder = tmp_path_factory.mktemp("clients")
    for name, text in SPOKEN.items():
        pcm = make_speech(folder, text, "--voice", VOICE, "--speed", "0.9")
        (folder / f"{name}.pcm").write_bytes(pcm)
    environ = {**DEFAULT_ENGINES, "VOICED_LIMITS__CONNECTIONS_PER_ADDRESS": "100"}
    names = asked_for(request)
    with secure_daemon(folder, **environ) as daemon:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            reports = list(threads.map(lambda name: run(name, daemon, folder), names))
        yield dict(zip(names, reports, strict=True))
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.raw_log
        assert [line for line in daemon.log if line["level"] in {"error", "critical"}] == []


@pytest.mark.parametrize("name", RUNS)
def test_check_49_an_unmodified_client_talks(name: str, ended: dict[str, Ended]) -> None:
    if RUNS[name][0] == NODE and (reason := why_no_node()) is not None:
        pytest.skip(reason)
    report = ended[name].report
    called = report["called"] if isinstance(report["called"], list) else [report["called"]]
    assert called == [{"name": "set_light", "room": "kitchen", "state": "on"}]
    if "history" in report:  # an agent's own view of it all
        users = [item["words"] for item in report["history"] if item["role"] == "user"]
        assert users[-2:] == list(SPOKEN.values())
        answers = [item["words"] for item in report["history"] if item["role"] == "assistant"]
        report["typed"], report["after"] = answers[0], answers[-1]
        report["heard"] = users[-2]
    assert report["typed"].startswith("It is ")
    assert report["heard"] == SPOKEN["command"]
    assert report["interrupted"] in {"turn_detected", "audio_interrupted"}
    if "answer" in report:
        assert OUTPUT.startswith(report["answer"].strip())
        assert report["answer"].startswith("The lamps")
    assert report["after"].startswith("It is ")
    if "typed_again" in report:
        assert re.match("It is [A-Z][a-z]+day, the ", report["typed_again"])
