"""What `voiced doctor` finds, and what it says to do."""

from __future__ import annotations

import errno
import http.server
import json
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.models.piper_voice import write_voice
from tests.models.small_models import write_gguf
from tests.patience import CEILING_S
from voiced.__main__ import main
from voiced.cli import checks, model_checks
from voiced.models.install import Installer, Request
from voiced.models.recommended import SERVICE_SHARE
from voiced.models.source import parse_source
from voiced.settings import Server, Thermal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("VOICED_SERVER__PORT", "0")


def _report(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is all(entry["state"] != "failed" for entry in report["checks"])
    return {entry["check"]: entry for entry in report["checks"]}


def test_with_engines_that_start_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("STT", "LLM", "TTS"):
        monkeypatch.setenv(f"VOICED_{kind}__ENGINE", "stub")
    assert main(["doctor", "--json"]) == 0
    report = _report(capsys)
    assert [report[f"{kind} engine"]["state"] for kind in ("stt", "llm", "tts")] == ["ok"] * 3
    assert "warm" in report["tts engine"]["detail"]
    assert report["vad"]["state"] == "ok"


def test_a_server_that_is_not_there_matters_where_nobody_else_does_its_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("STT", "LLM", "TTS"):
        monkeypatch.setenv(f"VOICED_{kind}__ENGINE", "stub")
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        monkeypatch.setenv("VOICED_LLM__PROVIDERS", f'[{{url = "{url}", name = "box"}}]')
        assert main(["doctor", "--json"]) == 0
        server = _report(capsys)["llm server"]
        assert (server["state"], server["detail"]) == ("note", "box: it cannot be reached")
        monkeypatch.setenv("VOICED_LLM__ENGINE", "none")
        assert main(["doctor", "--json"]) == 1
        report = _report(capsys)
    assert report["llm server"]["state"] == "failed"
    assert "llm engine" not in report


def test_an_engine_that_cannot_start_is_named_and_the_others_are_still_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_STT__ENGINE", "telepathy")
    for kind in ("LLM", "TTS"):
        monkeypatch.setenv(f"VOICED_{kind}__ENGINE", "stub")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "failed  stt engine: stt.engine: there is no 'telepathy'; allowed: " in out
    assert "what to do: see stt.engine in the settings (now telepathy)" in out
    assert "ok      tts engine" in out
    assert "1 of 12 checks failed" in out


def test_wrong_settings_fail_and_what_depends_on_them_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_SERVER__PRT", "1")
    assert main(["doctor", "--json"]) == 1
    report = _report(capsys)
    assert "VOICED_SERVER__PRT" in report["settings"]["detail"]
    assert report["settings"]["remedy"]
    assert "port" not in report


def test_listening_for_others_without_a_token_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_SERVER__HOST", "0.0.0.0")
    assert main(["doctor", "--json"]) == 1
    assert "token" in _report(capsys)["settings"]["detail"]


def test_a_certificate_that_cannot_be_used_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VOICED_SERVER__TLS_CERT", str(tmp_path / "absent.pem"))
    monkeypatch.setenv("VOICED_SERVER__TLS_KEY", str(tmp_path / "absent.pem"))
    assert main(["doctor", "--json"]) == 1
    assert "absent.pem" in _report(capsys)["settings"]["detail"]


def test_the_tls_port_in_use_fails() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Server(port=0, tls_port=other.getsockname()[1])
        finding = checks.check_port(taken, "tls_port")
    assert (finding.check, finding.state) == ("tls port", "failed")
    assert "server.tls_port" in finding.remedy


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10, 9), "failed"), ((3, 11, 0), "ok"), ((3, 13, 9), "ok"), ((3, 14, 0), "failed")],
)
def test_python_is_of_a_supported_version(version: tuple[int, int, int], state: str) -> None:
    assert checks.check_python(version).state == state


@pytest.mark.parametrize(
    ("requirement", "says"),
    [
        ("pytest>=1", ""),
        ("pytest<1", "but <1 is needed"),
        ("pytest<900.1,>=800", "but >=800 is needed"),
        ("no-such-package-at-all>=1", "no-such-package-at-all is missing"),
        ('no-such-package-at-all>=1; extra == "dev"', ""),
    ],
)
def test_a_missing_or_wrong_package_is_named(requirement: str, says: str) -> None:
    finding = checks.check_packages([requirement])
    assert (finding.state, bool(finding.remedy)) == (("failed", True) if says else ("ok", False))
    assert says in finding.detail


def test_a_state_directory_is_looked_at_and_not_made(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    assert checks.check_state_directory(directory).state == "ok"
    assert not directory.parent.exists()


def test_a_state_directory_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = checks.check_state_directory(tmp_path / "file" / "voiced")
    assert finding.state == "failed"
    assert "store.directory" in finding.remedy


def test_a_full_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "NEEDED_DISK_BYTES", 2**80)
    assert checks.check_state_directory(tmp_path).state == "failed"


def test_a_free_port_is_well() -> None:
    assert checks.check_port(Server(port=0)).state == "ok"


def test_a_port_that_another_program_has_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other:
        finding = checks.check_port(Server(port=other.getsockname()[1]))
    assert finding.state == "failed"
    assert "server.port" in finding.remedy


@pytest.fixture
def health() -> Iterator[tuple[int, dict[str, object]]]:
    """A port that answers GET /health with what the test puts into the dict."""
    answer: dict[str, object] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1], answer
        server.shutdown()
        thread.join()


def test_a_port_where_voiced_answers_is_well(
    health: tuple[int, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "ANSWER_S", CEILING_S)
    port, answer = health
    answer.update(status="ok", version="0.1.0", sessions=0)
    assert "voiced answers" in checks.check_port(Server(port=port)).detail
    answer.clear()
    assert checks.check_port(Server(port=port)).state == "failed"


def test_an_address_of_another_machine_fails() -> None:
    finding = checks.check_port(Server(host="192.0.2.1", port=0))
    assert finding.state == "failed"
    assert "server.host" in finding.remedy


def test_a_low_port_without_the_right_to_it_says_so() -> None:
    assert "1024" in checks._port_remedy(errno.EACCES, "server.port")


@pytest.mark.parametrize(
    ("now", "synchronised", "state", "says"),
    [
        (0.0, True, "note", "1970"),
        (1_800_000_000.0, False, "note", "not synchronised"),
        (1_800_000_000.0, True, "ok", "synchronised"),
    ],
)
def test_a_wrong_clock_is_worth_a_note(
    now: float, synchronised: bool, state: str, says: str
) -> None:
    finding = checks.check_clock(now, synchronised=synchronised)
    assert finding.state == state
    assert says in finding.detail


def test_little_memory_fails() -> None:
    assert checks.check_memory(100 * 2**20).state == "failed"
    assert checks.check_memory(2**30).state == "ok"


def test_a_machine_without_a_sensor_gets_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "read_temperature", lambda source: None)
    assert checks.check_temperature().state == "note"
    assert "thermal.enabled" in checks.check_temperature(Thermal(enabled=False)).detail


@pytest.mark.parametrize(
    ("text", "state", "says"),
    [
        ("61000", "ok", "61 °C, which is normal ("),
        ("76000", "ok", "76 °C, which is warm ("),
        ("86000", "note", "86 °C, which is critical ("),
        ("none", "failed", "no sensor"),
        ("-5000", "failed", "-5 °C, which cannot be"),
    ],
)
def test_the_sensor_of_the_settings_is_shown_with_its_level(
    text: str, state: str, says: str, tmp_path: Path
) -> None:
    source = tmp_path / "temp"
    source.write_text(text)
    finding = checks.check_temperature(Thermal(source=str(source)))
    assert finding.state == state
    assert says in finding.detail
    assert str(source) in finding.detail


# -- models ------------------------------------------------------------------------------------


@pytest.fixture
def piper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The models directory, Piper in the settings, and a voice that was added."""
    models = tmp_path / "state" / "models"
    source = parse_source(str(write_voice(tmp_path, "mine", speakers=("a", "b"))))
    Installer(models).add_local(Request(source=source, licence="CC0"))
    for kind in ("STT", "LLM"):
        monkeypatch.setenv(f"VOICED_{kind}__ENGINE", "stub")
    monkeypatch.setenv("VOICED_TTS__ENGINE", "piper")
    monkeypatch.setenv("VOICED_TTS__VOICE", "mine+b")
    return models


def test_the_models_of_the_settings_are_looked_at(
    piper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json"]) == 0
    report = _report(capsys)
    assert report["piper model"]["state"] == "ok"
    assert report["piper model"]["detail"].startswith("mine, ")
    assert "licence CC0" in report["piper model"]["detail"]
    assert report["tts engine"]["state"] == "ok"


def test_a_model_that_is_not_there_fails_and_tells_what_would_help(
    piper: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_TTS__VOICE", "other")
    assert main(["doctor", "--json"]) == 1
    report = _report(capsys)
    finding = report["piper model"]
    assert finding["state"] == "failed"
    assert report["tts engine"]["state"] == "note"  # one mistake, told once
    assert report["tts engine"]["detail"] == "not started: see piper model above"
    assert report["llm engine"]["state"] == "ok"
    assert "no piper model 'other'" in finding["detail"]
    assert "(there: mine)" in finding["detail"]
    assert "voiced models recommend" in finding["remedy"]


def test_a_model_that_is_not_whole_fails(piper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (piper / "mine" / "mine.onnx").write_bytes(b"short")
    assert main(["doctor", "--json"]) == 1
    assert "mine.onnx has 5 bytes instead of" in _report(capsys)["piper model"]["detail"]
    (piper / "mine" / "mine.onnx").unlink()
    assert main(["doctor", "--json"]) == 1
    assert "mine.onnx is missing" in _report(capsys)["piper model"]["detail"]


@pytest.mark.parametrize("wanted", ["cut", "path"])
def test_a_language_model_without_its_end_fails_before_its_engine(
    wanted: str, piper: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(piper / "cut.gguf")
    monkeypatch.setenv("VOICED_LLM__ENGINE", "llama")
    monkeypatch.setenv("VOICED_LLM__MODEL", str(path) if wanted == "path" else wanted)
    main(["doctor", "--json"])
    assert _report(capsys)["llama model"]["state"] == "ok"
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["doctor", "--json"]) == 1
    report = _report(capsys)
    assert report["llama model"]["state"] == "failed"
    assert "bytes are missing" in report["llama model"]["detail"]
    assert "remove --force cut`, and add it again" in report["llama model"]["remedy"]
    assert [name for name, found in report.items() if found["state"] == "failed"] == ["llama model"]
    assert report["llm engine"]["detail"] == "not started: see llama model above"


def test_an_engine_that_finds_its_model_damaged_is_told_how_to_know(
    piper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (piper / "mine" / "mine.onnx").read_bytes()
    (piper / "mine" / "mine.onnx").write_bytes(bytes(len(whole)))
    assert main(["doctor", "--json"]) == 1
    finding = _report(capsys)["tts engine"]
    assert "damaged" in finding["detail"]
    assert "`voiced models verify mine`, and add it again" in finding["remedy"]


def test_the_models_together_fit_the_memory_as_the_daemon_reckons(
    piper: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def memory() -> dict[str, Any]:
        main(["doctor", "--json"])
        return dict(_report(capsys)["memory for models"])

    assert memory()["state"] == "ok"
    assert "MiB together, and" in memory()["detail"]
    # The unit's bound is not the machine's.
    unit = (Path(__file__).parents[2] / "systemd" / "voiced.service").read_text()
    assert f"\nMemoryMax={SERVICE_SHARE:.0%}\n" in unit
    monkeypatch.setattr(model_checks, "whole_memory", lambda: 300 << 20)
    finding = memory()
    assert finding["state"] == "note"
    assert "voiced may take 240 MiB (MemoryMax)" in finding["detail"]
    monkeypatch.setattr(model_checks, "free_memory", lambda: 400 << 20)
    finding = memory()
    assert finding["state"] == "failed"
    assert "the engines need about" in finding["detail"]
    assert f"{piper}/mine/mine.onnx" in finding["detail"]
    assert finding["detail"].endswith("400 MiB are free")
    assert finding["remedy"].endswith("; or end other programs")
    monkeypatch.setattr(model_checks, "is_voiced", lambda server: True)
    finding = memory()
    assert finding["state"] == "note"
    assert "voiced, which runs here, has its own; 400 MiB are free" in finding["detail"]


def test_without_models_their_memory_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    assert "memory for models" not in _report(capsys)


def test_what_lies_in_the_models_directory_half_done_is_a_note(
    piper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (piper / ".adding" / "x").mkdir(parents=True)
    (piper / ".adding" / "x" / "m.gguf").write_bytes(bytes(3_000))
    assert main(["doctor", "--json"]) == 0
    finding = _report(capsys)["models directory"]
    assert finding["state"] == "note"
    assert "3.0 kB of interrupted models" in finding["detail"]
