"""systemd/voiced.service: accepted by systemd, and true to what the daemon needs."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import CEILING_S

UNIT = Path(__file__).resolve().parents[2] / "systemd/voiced.service"
PROGRAM = "/opt/voiced/.venv/bin/voiced"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def _verify(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    copy = tmp_path / "voiced.service"
    copy.write_text(text)
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        timeout=CEILING_S,
    )


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    # The program is not installed where the tests run, and its absence is all systemd may mind.
    result = _verify(tmp_path, UNIT.read_text().replace(PROGRAM, "/bin/true"))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@needs_systemd
def test_systemd_would_find_a_mistake(tmp_path: Path) -> None:
    text = UNIT.read_text().replace(PROGRAM, "/bin/true").replace("WatchdogSec", "WatchdogSecs")
    assert "WatchdogSecs" in _verify(tmp_path, text).stderr


@needs_systemd
def test_the_sandbox_is_tight(tmp_path: Path) -> None:
    copy = tmp_path / "voiced.service"
    copy.write_text(UNIT.read_text())
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20"]
    result = subprocess.run(
        [*command, str(copy)], capture_output=True, text=True, check=False, timeout=CEILING_S
    )
    assert result.returncode == 0, result.stdout[-300:]


def _service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # keys have their case
    parser.read(UNIT)
    return parser["Service"]


def test_the_daemon_gets_what_it_relies_on() -> None:
    service = _service()
    assert service["ExecStart"].split()[:2] == [PROGRAM, "serve"]
    assert service["Type"] == "notify"
    assert service["StateDirectory"] == "voiced"
    assert service["RestartPreventExitStatus"] == "2"  # SettingsError.exit_code
    assert "ProcSubset" not in service  # psutil reads what it hides
    assert service["SystemCallErrorNumber"] == "EPERM"
    filters = re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert not any("@resources" in line for line in filters)  # engines set their affinity
