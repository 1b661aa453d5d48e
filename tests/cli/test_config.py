"""`voiced config check` and `voiced config show`, as a person or a script calls them."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from voiced.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_check_accepts_a_right_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v.toml"
    path.write_text("[server]\nport = 1\n")
    assert main(["config", "check", "--config", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"the settings are in order ({path}); voiced doctor tries the engines too\n"
    )


def test_check_tells_a_mistake_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.toml"
    path.write_text("[server]\nprot = 1\n")
    assert main(["config", "check", "--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (f"voiced: {path}:2: there is no key server.prot; did you mean port?\n")


def test_check_tells_every_mistake_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.toml"
    path.write_text(
        '[server]\nprot = 1\nhost = 5\n[sevrer]\n[auth]\ntoken = "x"\n[log]\nlevel = "loud"\n'
    )
    monkeypatch.setenv("VOICED_SERVER__PORT", "many")
    monkeypatch.setenv("VOICED_LOG_LEVEL", "debug")
    assert main(["config", "check", "--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    said = ("server.prot", "server.host", "sevrer", "auth.token", "log.level", "LOG_LEVEL", "PORT")
    assert len(lines) == len(said)
    for line, what in zip(lines, said, strict=True):
        assert line.startswith("voiced: ")
        assert what in line
    assert main(["config", "check", "--json", "--config", str(path)]) == 2
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["ok"], captured.err) == (False, "")
    assert [f"voiced: {mistake}" for mistake in told["mistakes"]] == lines


def test_show_prints_toml_that_gives_the_same_settings_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.toml"
    path.write_text('[llm]\nreply = "say \\"hi\\"\\nü"\n[stt]\noptions = { "a b" = [1, 2.5] }\n')
    monkeypatch.setenv("VOICED_SERVER__PORT", "0")
    assert main(["config", "show", "--config", str(path)]) == 0
    out = capsys.readouterr().out
    shown = tomllib.loads(out)
    assert shown["llm"]["reply"] == 'say "hi"\nü'
    assert shown["stt"]["options"] == {"a b": [1, 2.5]}
    assert "port = 0  # VOICED_SERVER__PORT" in out
    assert f"# {path}" in out
    assert 'host = "127.0.0.1"  # default' in out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_show_never_shows_the_token(
    options: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_AUTH__TOKEN", "s3cret-s3cret")
    assert main(["config", "show", *options]) == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    assert "(set, not shown)" in out


def test_show_gives_json_with_sources(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_LOG__LEVEL", "debug")
    assert main(["config", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"]["log"]["level"] == "debug"
    assert shown["sources"]["log.level"] == "VOICED_LOG__LEVEL"


WRONG = """
[server]
tls_cert = "absent.pem"
tls_key = "absent.pem"
[auth]
token_on_loopback = true
[stt]
engine = "telepathy"
[llm]
engine = "oracle"
sentences = "sub/../absent.yaml"
"""


def test_check_and_serve_tell_the_same_mistakes_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that checks before it restarts the daemon must not be told otherwise."""
    path = tmp_path / "v.toml"
    path.write_text(WRONG)
    said = []
    for command in (["config", "check"], ["serve"]):
        assert main([*command, "--config", str(path)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        said.append(captured.err)
    assert said[0] == said[1]
    lines = said[0].splitlines()
    names = ("token_on_loopback", "server.tls_cert", "llm.sentences", "stt.engine", "llm.engine")
    assert len(lines) == len(names)
    for line, name in zip(lines, names, strict=True):
        assert line.startswith("voiced: ")
        assert name in line
    assert f"llm.sentences: {tmp_path}/absent.yaml cannot be read: No such file" in lines[2]


def test_serve_tells_every_malformed_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.toml"
    path.write_text("[server]\nprot = 1\nhost = 5\n")
    assert main(["serve", "--config", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [name in line for name, line in zip(("prot", "host"), lines, strict=True)] == [True] * 2


def test_a_path_in_the_file_is_told_without_steps_back_unless_a_link_is_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "v.toml"
    elsewhere = tmp_path / "far" / "away"
    elsewhere.mkdir(parents=True)
    (tmp_path / "link").symlink_to(elsewhere)
    path.write_text('[llm]\nhome = "none/../home.yaml"\nsentences = "link/../sentences.yaml"\n')
    assert main(["config", "show", "--json", "--config", str(path)]) == 0
    llm = json.loads(capsys.readouterr().out)["settings"]["llm"]
    assert llm["home"] == f"{tmp_path}/home.yaml"
    assert llm["sentences"] == f"{tmp_path}/link/../sentences.yaml"  # which is far/sentences.yaml
