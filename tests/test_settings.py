"""Settings: where values come from, which source wins, and what a mistake is answered with."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from voiced.errors import SettingsError
from voiced.faults import find_faults
from voiced.resources import default_config
from voiced.settings import Settings, Store
from voiced.settings_file import PATHS
from voiced.settings_keys import sections
from voiced.settings_loader import load, load_settings, state_directory


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "voiced.toml"


def _error(config: Path | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(config, environ or {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_any_source_every_key_has_its_default(tmp_path: Path) -> None:
    loaded = load(None, {}, system_config=tmp_path / "absent.toml")
    assert loaded.settings == Settings()
    assert loaded.sources == {}


def test_the_system_file_is_read_where_it_exists(config: Path) -> None:
    config.write_text("[server]\nport = 8090\n")
    assert load(None, {}, system_config=config).settings.server.port == 8090


def test_the_environment_wins_over_the_file(config: Path) -> None:
    config.write_text('[server]\nport = 8090\nhost = "::1"\n')
    loaded = load(config, {"VOICED_SERVER__PORT": "8091"})
    assert loaded.settings.server.port == 8091
    assert loaded.settings.server.host == "::1"
    assert loaded.sources == {"server.host": str(config), "server.port": "VOICED_SERVER__PORT"}


@pytest.mark.parametrize(
    ("name", "raw", "section", "key", "value"),
    [
        ("VOICED_SERVER__PORT", "0", "server", "port", 0),
        ("VOICED_SERVER__HOST", "0.0.0.0", "server", "host", "0.0.0.0"),
        ("VOICED_SERVER__HOST", '"::1"', "server", "host", "::1"),
        (
            "VOICED_SERVER__ORIGINS",
            '["https://a.example"]',
            "server",
            "origins",
            ("https://a.example",),
        ),
        ("VOICED_VAD__ACOUSTIC_END", "false", "vad", "acoustic_end", False),
        ("VOICED_SERVER__DRAIN_S", "2", "server", "drain_s", 2.0),
        ("VOICED_LLM__REPLY", "5", "llm", "reply", "5"),
        ("VOICED_LLM__REPLY", "one\ntwo = 2", "llm", "reply", "one\ntwo = 2"),
        ("VOICED_LOG__LEVEL", "debug", "log", "level", "debug"),
        ("VOICED_STT__OPTIONS", "{ beam = 3 }", "stt", "options", {"beam": 3}),
        ("VOICED_TURN_DETECTION__THRESHOLD", "0.7", "turn_detection", "threshold", 0.7),
        ("VOICED_AUTH__TOKEN", "12345678", "auth", "token", "12345678"),
    ],
)
def test_a_variable_is_read_as_toml_or_as_text(
    name: str, raw: str, section: str, key: str, value: object, config: Path
) -> None:
    config.write_text("")
    settings = load_settings(config, {name: raw})
    assert getattr(getattr(settings, section), key) == value


def test_a_variable_that_lacks_an_underscore_is_not_passed_over() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {"VOICED_SERVER_PORT": "1"})
    assert str(caught.value) == (
        "VOICED_SERVER_PORT is not a setting; did you mean VOICED_SERVER__PORT?"
    )


def test_a_path_in_the_file_is_meant_from_where_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    config = tmp_path / "etc" / "voiced.toml"
    config.write_text(
        '[llm]\nsentences = "home/en.yaml"\nhome = "/srv/home.yaml"\n'
        '[store]\ndirectory = "../state"\n'
    )
    monkeypatch.chdir(tmp_path)
    for named in (config, Path("etc/voiced.toml")):
        settings = load_settings(named, {"VOICED_SERVER__TLS_CERT": "here.pem"})
        assert settings.llm.sentences == str(tmp_path / "etc/home/en.yaml")
        assert settings.llm.home == "/srv/home.yaml"
        assert settings.store.directory == str(tmp_path / "state")
        assert settings.server.tls_cert == "here.pem"  # of a shell: from where that is
    config.write_text('[llm]\nsentences = "~/en.yaml"\n')
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_settings(config, {}).llm.sentences == "/home/somebody/en.yaml"


def test_every_key_that_holds_a_path_exists() -> None:
    known = {(section, key) for section, keys in sections().items() for key in keys}
    assert known >= PATHS


def test_variables_of_the_scripts_are_no_settings(config: Path) -> None:
    config.write_text("")
    environ = {"VOICED_PYTHON": "python3.13", "VOICED_TEST_AUDIO": "/x", "VOICED": "1"}
    assert load_settings(config, environ) == Settings()


def test_the_token_comes_from_the_credential(config: Path, tmp_path: Path) -> None:
    config.write_text("")
    (tmp_path / "voiced-token").write_text("s3cret\n")
    loaded = load(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert loaded.settings.auth.token == "s3cret"
    assert loaded.sources == {"auth.token": "credential voiced-token"}
    assert load_settings(config, {}, tmp_path).auth.token == "s3cret"


def test_a_credentials_directory_without_a_token_is_fine(config: Path, tmp_path: Path) -> None:
    config.write_text("")
    assert load_settings(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).auth.token == ""


@pytest.mark.parametrize("token", ["", "two words", "schlüssel", "a\nb"])
def test_a_token_that_no_client_could_send_is_refused_unseen(token: str, config: Path) -> None:
    config.write_text("")
    message = _error(config, {"VOICED_AUTH__TOKEN": token})
    assert message.startswith("VOICED_AUTH__TOKEN: the token is one word")
    assert not token or token not in message


def test_a_token_in_the_file_is_refused_with_the_reason(config: Path) -> None:
    config.write_text('[auth]\ntoken = "s3cret"\n')
    message = _error(config)
    assert message.startswith(f"{config}:2: auth.token may not stand in the file")
    assert "voiced-token" in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[server]\n\nprot = 1\n", 3, "there is no key server.prot; did you mean port?"),
        (
            "[server]\nport = 99999\n",
            2,
            "port cannot be 99999; it is a whole number from 0 to 65535",
        ),
        ('[server]\nport = "80"\n', 2, 'server.port cannot be "80"; it is a whole number'),
        ("[server]\nport = true\n", 2, "server.port cannot be true"),
        ("[server]\ndrain_s = nan\n", 2, "server.drain_s cannot be nan; it is a number above 0"),
        ("[session]\nmax_s = 0\n", 2, "session.max_s cannot be 0; it is a number above 0"),
        ('[log]\nlevel = "loud"\n', 2, 'it is one of "debug", "error", "info", "warning"'),
        ("[server]\norigins = 'x'\n", 2, 'it is a list of strings, such as ["one", "two"]'),
        ("[stt]\noptions = 1\n", 2, "it is a table"),
        ("[servre]\nport = 1\n", 1, "there is no section servre; did you mean server?"),
        ("port = 1\n", 1, "port stands outside a section; it belongs under [server]"),
        ("server = 1\n", 1, "server is a section: write [server]"),
        ("[tts]\nthreshold = 0.5\n", 2, "it belongs to section turn_detection"),
        ("[zzz]\n", 1, "known sections: auth, "),
        ("[vad]\nquux = 1\n", 2, "known keys of vad: acoustic_end, engine"),
        ("server.prot = 1\n", 1, "did you mean port?"),
        ("[server]\nport = \n", 2, "not valid TOML"),
        ("[server]\nport = 1\nport = 2\n", 3, "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_names_line_key_and_what_is_allowed(
    text: str, line: int, says: str, config: Path
) -> None:
    config.write_text(text)
    message = _error(config)
    assert message.startswith(f"{config}:{line}: ")
    assert says in message


def test_a_long_value_is_shown_abridged(config: Path) -> None:
    config.write_text(f'[server]\nport = "{"x" * 10_000}"\n')
    assert len(_error(config)) < 300


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("VOICED_SERVER__PRT", "1", "there is no key server.prt; did you mean port?"),
        ("VOICED_SEVER__PORT", "1", "there is no section sever; did you mean server?"),
        ("VOICED_SERVER__PORT", "none", 'server.port cannot be "none"; it is a whole number'),
        ("VOICED_SERVER__", "1", "there is no key server.;"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    name: str, value: str, says: str, config: Path
) -> None:
    config.write_text("")
    message = _error(config, {name: value})
    assert message.startswith(f"{name}: ")
    assert says in message


def test_a_file_that_was_asked_for_must_exist(config: Path) -> None:
    assert _error(config) == f"{config}: there is no such file"


def test_a_directory_or_binary_file_is_refused(tmp_path: Path, config: Path) -> None:
    assert "cannot be read: Is a directory" in _error(tmp_path)
    config.write_bytes(b"\xff\xfe[")
    assert "not UTF-8" in _error(config)


def test_the_state_directory_is_the_setting_then_systemds_then_the_users() -> None:
    home = {"HOME": "/home/x"}
    assert state_directory(Store(directory="/a"), {"STATE_DIRECTORY": "/b"}) == Path("/a")
    assert state_directory(Store(), {"STATE_DIRECTORY": "/b:/c"}) == Path("/b")
    assert state_directory(Store(), {**home, "XDG_STATE_HOME": "/s"}) == Path("/s/voiced")
    assert state_directory(Store(), home) == Path.home() / ".local/state/voiced"


# -- config/voiced.toml ---------------------------------------------------------------------


def _documented() -> dict[str, dict[str, object]]:
    text = default_config("voiced.toml").read_text("utf-8")
    return tomllib.loads(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE))


def test_the_commented_file_lists_exactly_the_keys_with_their_defaults() -> None:
    defaults = msgspec.json.decode(msgspec.json.encode(Settings()))
    del defaults["auth"]["token"]  # a secret may not stand there
    assert _documented() == defaults
    assert list(_documented()) == list(sections())


def test_the_commented_file_sets_nothing() -> None:
    assert load(default_config("voiced.toml"), {}).sources == {}


def test_every_documented_key_has_a_sentence_before_it() -> None:
    lines = default_config("voiced.toml").read_text("utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"#\w+ = ", line):
            assert re.match(r"# \S.*\.$", before), line


# -- tables in a list -----------------------------------------------------------------------


def test_servers_are_tables_in_a_list(config: Path) -> None:
    config.write_text(
        '[llm]\nengine = "none"\n'
        '[[llm.providers]]\nurl = "https://one.example/v1"\nkey_file = "keys/one"\n'
        '[[llm.providers]]\nurl = "http://127.0.0.1:8081/v1"\nfirst_s = 2\n'
    )
    one, two = load_settings(config, {}).llm.providers
    assert one.key_file == str(config.parent / "keys/one")
    assert (two.url, two.first_s) == ("http://127.0.0.1:8081/v1", 2.0)
    given = {"VOICED_LLM__PROVIDERS": '[{url = "https://three.example/v1"}]'}
    assert [p.url for p in load_settings(config, given).llm.providers] == [
        "https://three.example/v1"
    ]


def test_what_a_server_lacks_is_found_before_anything_starts(config: Path) -> None:
    config.write_text(
        '[stt]\nengine = "none"\n'
        '[llm]\nengine = "none"\n[[llm.providers]]\nurl = "https://one.example/v1"\n'
        '[[tts.providers]]\nurl = "https://one.example/v1"\nkey_file = "nowhere"\n'
    )
    assert [str(fault) for fault in find_faults(load_settings(config, {}))] == [
        "stt.engine is none, and stt.providers is empty",
        f"tts.providers, number 1: the key in {config.parent / 'nowhere'} cannot be read: "
        "No such file or directory",
    ]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("model = 1", "llm.providers: table 1, model: expected `str`, got `int`"),
        ("modle = 'm'", "llm.providers: table 1: object contains unknown field `modle`"),
        ("model = 'm'", "llm.providers: table 1: object missing required field `url`"),
        ("url = 'u'\nfirst_s = 0", "llm.providers: table 1, first_s: expected `float` > 0.0"),
    ],
)
def test_a_fault_in_a_table_is_named(table: str, fault: str, config: Path) -> None:
    config.write_text(f"[llm]\n[[llm.providers]]\n{table}\n")
    assert _error(config) == f"{config}:2: {fault}"


def test_what_is_no_list_of_tables_is_said_to_be_one(config: Path) -> None:
    config.write_text('[llm]\nproviders = "there"\n')
    assert _error(config).endswith(
        'it is a list of tables, such as [{ url = "https://host.example/v1" }]'
    )
