"""From a TOML file, the environment and a credential to `Settings`, with the source of each value.

Later sources win: the defaults, the file, the credential, the environment. Whatever is wrong is
one `SettingsError` of one line that names the place, the key, and what is allowed there. A path
in the file that does not begin at the root is meant from where the file lies.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from voiced.errors import SettingsError
from voiced.settings import Settings, Store
from voiced.settings_file import TOKEN_CREDENTIAL, file_values, read_text
from voiced.settings_keys import convert, field_of, sections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SYSTEM_CONFIG = Path("/etc/voiced/voiced.toml")
PREFIX = "VOICED_"


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and where each value that is not a default comes from.

    `sources` maps `section.key` to the path of a file, the name of a variable, or
    `credential voiced-token`.
    """

    settings: Settings
    sources: dict[str, str]


def load_settings(
    config: Path | None,
    environ: Mapping[str, str] = os.environ,
    credentials_directory: Path | None = None,
) -> Settings:
    """The effective settings; `config` is the file of `--config`, which must then exist.

    Without one, `/etc/voiced/voiced.toml` is read where it exists. `credentials_directory` is
    by default `$CREDENTIALS_DIRECTORY` of `environ`. Raises `SettingsError`.
    """
    return load(config, environ, credentials_directory).settings


def load(
    config: Path | None,
    environ: Mapping[str, str] = os.environ,
    credentials_directory: Path | None = None,
    system_config: Path = SYSTEM_CONFIG,
) -> Loaded:
    """Like `load_settings`, with the source of each value."""
    return _load(config, environ, credentials_directory, system_config, _raise)


def find_mistakes(
    config: Path | None,
    environ: Mapping[str, str] = os.environ,
    system_config: Path = SYSTEM_CONFIG,
) -> list[SettingsError]:
    """Everything that `load` would raise, were it not for what it meets first."""
    mistakes: list[SettingsError] = []
    try:
        _load(config, environ, None, system_config, mistakes.append)
    except SettingsError as error:
        mistakes.append(error)
    return mistakes


def _raise(error: SettingsError) -> None:
    raise error


def _load(
    config: Path | None,
    environ: Mapping[str, str],
    credentials_directory: Path | None,
    system_config: Path,
    report: Callable[[SettingsError], None],
) -> Loaded:
    values: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}

    def put(section: str, key: str, value: object, source: str) -> None:
        values.setdefault(section, {})[key] = value
        sources[f"{section}.{key}"] = source

    path = system_config if config is None else config
    text = read_text(path, optional=config is None)
    if text is not None:
        for section, key, value in file_values(path, text, report):
            put(section, key, value, str(path))
    token = _token_credential(environ, credentials_directory)
    if token is not None:
        put("auth", "token", token, f"credential {TOKEN_CREDENTIAL}")
    for name in sorted(environ):
        if name.startswith(PREFIX) and "__" in name[len(PREFIX) :]:
            try:
                section, key, value = _from_variable(name, environ[name])
            except SettingsError as error:
                report(error)
            else:
                put(section, key, value, name)
        elif (meant := _with_two_underscores(name)) is not None:
            report(SettingsError(f"{name} is not a setting; did you mean {meant}?"))
    return Loaded(msgspec.convert(values, Settings), sources)


def state_directory(store: Store, environ: Mapping[str, str] = os.environ) -> Path:
    """Where voiced keeps its state: the setting, `$STATE_DIRECTORY`, or the user's own place.

    It is named here, not made. systemd may name several in `$STATE_DIRECTORY`; the first counts.
    """
    if store.directory:
        return Path(store.directory).expanduser()
    if given := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(given)
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "voiced"


def models_directory(store: Store, environ: Mapping[str, str] = os.environ) -> Path:
    """Where models are: the setting, or `models` in the state directory. Named here, not made."""
    if store.models:
        return Path(store.models).expanduser()
    return state_directory(store, environ) / "models"


def _with_two_underscores(name: str) -> str | None:
    """The variable that was meant where one underscore is missing: the likeliest slip."""
    section, _, key = name.removeprefix(PREFIX).lower().partition("_")
    if not name.startswith(PREFIX) or key not in sections().get(section, {}):
        return None
    return f"{PREFIX}{section}__{key}".upper()


def _from_variable(name: str, raw: str) -> tuple[str, str, object]:
    section, _, key = name[len(PREFIX) :].partition("__")
    section, key = section.lower(), key.lower()
    field = field_of(section, key, name)
    if (section, key) == ("auth", "token"):
        return section, key, _checked_token(raw, name)
    return section, key, convert(section, key, _variable_value(raw, field), name)


def _variable_value(raw: str, field: msgspec.structs.FieldInfo) -> object:
    try:
        document = tomllib.loads(f"value = {raw}")
    except tomllib.TOMLDecodeError:
        return raw
    value = document.get("value")
    if len(document) != 1 or (not isinstance(value, str) and _is_text(field)):
        return raw  # a text such as 5 or true needs no quotes here
    return value


def _is_text(field: msgspec.structs.FieldInfo) -> bool:
    info = inspect.type_info(field.type)
    return isinstance(info, inspect.StrType | inspect.LiteralType)


def _token_credential(environ: Mapping[str, str], directory: Path | None) -> str | None:
    if directory is None:
        if not environ.get("CREDENTIALS_DIRECTORY"):
            return None
        directory = Path(environ["CREDENTIALS_DIRECTORY"])
    path = directory / TOKEN_CREDENTIAL
    text = read_text(path, optional=True)
    return None if text is None else _checked_token(text.strip(), str(path))


def _checked_token(token: str, where: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise SettingsError(
            f"{where}: the token is one word of printable ASCII characters, and not empty"
        )
    return token
