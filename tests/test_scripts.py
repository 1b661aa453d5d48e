"""scripts/run and scripts/test on machines where they cannot work: one clear message."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.patience import CEILING_S

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
TOOLS = (
    *("bash", "env", "readlink", "dirname", "cat", "ls", "rm"),
    *("mkdir", "head", "grep", "sha256sum"),
)


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A directory for PATH, without any Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (directory / tool).symlink_to(found)
    return directory


def _fake_python(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _run(
    script: str, environ: dict[str, str], cwd: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        capture_output=True,
        text=True,
        env=environ,
        cwd=cwd,
        check=False,
        timeout=CEILING_S,
    )


@pytest.mark.parametrize("script", ["run", "test"])
def test_without_a_python_that_works_it_says_what_to_install(
    script: str, bare_path: Path, tmp_path: Path
) -> None:
    _fake_python(bare_path, "python3.13", "exit 127")  # as a pyenv shim that leads nowhere
    _fake_python(bare_path, "python3", "echo is Python 3.9")
    venv = tmp_path / "absent venv"
    done = _run(script, {"PATH": str(bare_path), "VOICED_VENV": str(venv)}, tmp_path)
    assert done.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert f"{bare_path}/python3.13 does not run" in done.stderr
    assert f"{bare_path}/python3 is Python 3.9" in done.stderr
    assert "apt install python3" in done.stderr
    assert not venv.exists()


def test_a_directory_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letters").write_text("dear")
    done = _run("run", {**os.environ, "VOICED_VENV": str(precious)}, tmp_path)
    assert done.returncode == 1
    assert "is not a virtual environment" in done.stderr
    assert (precious / "letters").read_text() == "dear"


def test_a_chosen_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    environ = {**os.environ, "VOICED_VENV": str(tmp_path / "v"), "VOICED_PYTHON": "python9"}
    done = _run("run", environ, tmp_path)
    assert done.returncode == 1
    assert "VOICED_PYTHON=python9 is not there" in done.stderr
