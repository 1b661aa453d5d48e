"""The project's own promises: nothing is left by tests, what is packed, how commands behave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voiced.__main__ import COMMANDS, main
from voiced.conversation.config import AudioIn, NoiseReduction, SessionConfig, Transcription
from voiced.conversation.snapshot import ResponseOverrides
from voiced.resources import default_config

if TYPE_CHECKING:
    import msgspec

ROOT = Path(__file__).resolve().parent.parent

LEAKS = {
    "thread": """
import threading
done = threading.Event()
def test_leak():
    threading.Thread(target=done.wait, args=(30,), daemon=True, name="forgotten").start()
""",
    "process": """
import subprocess, sys
kept = []
def test_leak():
    kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
""",
    "file descriptor": """
import os
def test_leak():
    os.open("/dev/null", os.O_RDONLY)
""",
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_test_that_leaves_something_behind_fails(kind: str, pytester: pytest.Pytester) -> None:
    text = (ROOT / "tests/conftest.py").read_text("utf-8")
    conftest, shortened = re.subn(r"^GRACE_S = .*$", "GRACE_S = 0.1", text, flags=re.MULTILINE)
    assert shortened == 1
    pytester.makeconftest(conftest)
    pytester.makepyfile(LEAKS[kind])
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:trio")
    result.stdout.fnmatch_lines([f"left behind: {kind}*"])
    result.assert_outcomes(passed=1, errors=1)


def test_a_test_that_cleans_up_passes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text("utf-8"))
    pytester.makepyfile("""
        import os, subprocess, sys, threading

        def test_tidy():
            thread = threading.Thread(target=print)
            thread.start()
            thread.join()
            subprocess.run([sys.executable, "-c", ""], check=True)
            os.close(os.open("/dev/null", os.O_RDONLY))
    """)
    result = pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:trio")
    result.assert_outcomes(passed=1)


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_every_declared_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[<>=~!\[; ]", line)[0].lower() for line in project["dependencies"]}
    assert names <= set(_pins("run.txt"))


@pytest.mark.parametrize(
    "name", ["build.txt", "build-llama.txt", "run.txt", "test.txt", "llama.txt"]
)
def test_requirements_are_hashed_and_name_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file:", text)


def test_the_clients_for_node_are_hashed_and_name_no_address() -> None:
    lock = json.loads((ROOT / "tests/clients/package-lock.json").read_text("utf-8"))
    packages = [entry for path, entry in lock["packages"].items() if path]
    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages)
    assert not any("resolved" in entry for entry in packages)


def test_tests_run_on_the_versions_that_the_daemon_runs_on() -> None:
    assert _pins("run.txt").items() <= _pins("test.txt").items()


def test_the_extra_changes_nothing_else() -> None:
    assert _pins("run.txt").items() <= _pins("llama.txt").items()
    assert _pins("build-llama.txt").items() <= _pins("build.txt").items()


def test_the_shipped_settings_are_found() -> None:
    assert default_config("voiced.toml").read_text("utf-8").startswith("# Settings of voiced")


def test_a_wheel_carries_the_shipped_settings_and_the_licence(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    for path in (ROOT / "config").rglob("*.*"):
        assert f"voiced/_config/{path.relative_to(ROOT / 'config')}" in names
    assert "voiced/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests") for name in names)


def test_the_steps_for_a_service_make_what_every_user_can_read(tmp_path: Path) -> None:
    """Those of the README, under a umask that keeps everything from others."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    text = (ROOT / "README.md").read_text("utf-8").partition("## As a service")[2]
    steps = [
        line
        for line in text.split("```")[1].strip().splitlines()
        if "scripts/run" not in line and "systemctl" not in line
    ]
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    script = "\n".join(["set -eu -o pipefail", "umask 077", *steps])
    for folder in ("opt", "etc"):
        script = script.replace(f" /{folder}/", f" {tmp_path}/{folder}/")
    done = subprocess.run(
        ["bash", "-c", script.replace("sudo ", "")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/voiced/voiced.toml").is_file()
    assert (tmp_path / "etc/systemd/system/voiced.service").is_file()
    assert (tmp_path / "opt/voiced/scripts/run").stat().st_mode & 0o777 == 0o755
    for path in [*(tmp_path / "opt/voiced").rglob("*"), *(tmp_path / "etc/voiced").rglob("*")]:
        needed = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & needed == needed, path


# What a client can set and what acts on it: the rest of the protocol's fields is in the document.
ACTS = {
    SessionConfig: {
        *("type", "object", "id", "expires_at", "audio"),
        *("output_modalities", "max_output_tokens"),
        *("tools", "tool_choice", "parallel_tool_calls"),
    },
    AudioIn: {"format", "turn_detection", "transcription"},
    Transcription: set[str](),
    NoiseReduction: set[str](),
    ResponseOverrides: {
        *("output_modalities", "audio", "max_output_tokens"),
        *("metadata", "conversation", "input", "instructions"),
        *("tools", "tool_choice", "parallel_tool_calls"),
    },
}


@pytest.mark.parametrize("struct", ACTS, ids=lambda struct: struct.__name__)
def test_every_field_without_effect_is_documented(struct: type[msgspec.Struct]) -> None:
    text = (ROOT / "docs/realtime.md").read_text("utf-8")
    section = text.partition("## Accepted without effect")[2].partition("\n## ")[0]
    named = set(re.findall(r"[`.](\w+)`", section))
    assert set(struct.__struct_fields__) - ACTS[struct] <= named


def test_every_command_has_its_module_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert f"usage: voiced {command}" in capsys.readouterr().out


def test_bad_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sing"])
    assert caught.value.code == 2
    assert "invalid choice: 'sing'" in capsys.readouterr().err


def test_version_imports_nothing_heavy() -> None:
    """`voiced --version` answers at once, since it imports neither trio nor any engine."""
    script = (
        "import sys; from voiced.__main__ import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "heavy = {'trio', 'numpy', 'msgspec', 'structlog', 'psutil'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("voiced")


def test_no_engine_reports_to_its_maker(tmp_path: Path) -> None:
    """onnxruntime's telemetry makes a database and an uploader thread; with voiced it does not.

    There is no control without the variable, since that would send something.
    """
    script = (
        "import os\n"
        "from voiced.turns.silero import SileroVad\n"
        "SileroVad.load()\n"
        "fds = (os.path.join('/proc/self/fd', fd) for fd in os.listdir('/proc/self/fd'))\n"
        "print([os.readlink(fd) for fd in fds if os.path.islink(fd) and '.db' in os.readlink(fd)])"
    )
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    # What else would keep it quiet, and hide a fault here.
    for name in ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"):
        environ.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environ,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_output_that_nobody_reads_is_no_error() -> None:
    """`voiced config show | head -n 1` prints no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "voiced", "config", "show"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141
