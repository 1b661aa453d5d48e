"""From a TOML file, the environment and a credential to `Settings`, with the source of each value.

Later sources win: the defaults, the file, the credential, the environment. Whatever is wrong is
one `SettingsError` of one line that names the place, the key, and what is allowed there. A path
in the file that does not begin at the root is meant from where the file lies.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from voiced.errors import SettingsError
from voiced.settings import Settings, Store
from voiced.settings_text import allowed, toml_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SYSTEM_CONFIG = Path("/etc/voiced/voiced.toml")
TOKEN_CREDENTIAL = "voiced-token"
PREFIX = "VOICED_"
PATHS = frozenset(
    {
        *(("llm", "sentences"), ("llm", "home"), ("store", "directory"), ("store", "models")),
        ("llm", "chat_template"),
        *(("server", "tls_cert"), ("server", "tls_key")),
    }
)
"""The keys that hold the path of a file or directory."""


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
    text = _read(path, optional=config is None)
    if text is not None:
        for section, key, value in _from_file(path, text, report):
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


# -- the keys there are ---------------------------------------------------------------------


def sections() -> dict[str, dict[str, msgspec.structs.FieldInfo]]:
    """Every section, and the description of every key in it."""
    return {
        section.name: {field.name: field for field in msgspec.structs.fields(section.type)}
        for section in msgspec.structs.fields(Settings)
    }


def _with_two_underscores(name: str) -> str | None:
    """The variable that was meant where one underscore is missing: the likeliest slip."""
    section, _, key = name.removeprefix(PREFIX).lower().partition("_")
    if not name.startswith(PREFIX) or key not in sections().get(section, {}):
        return None
    return f"{PREFIX}{section}__{key}".upper()


def _nearest(name: str, known: Iterable[str], what: str) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known {what}: {', '.join(known)}"


def _field(section: str, key: str, where: str) -> msgspec.structs.FieldInfo:
    """The key's description; `where` begins the error when there is no such key."""
    known = sections()
    if section not in known:
        hint = _nearest(section, known, "sections")
        raise SettingsError(f"{where}: there is no section {section}; {hint}")
    if key not in known[section]:
        others = [name for name, keys in known.items() if key in keys]
        hint = (
            f"it belongs to section {others[0]}"
            if len(others) == 1
            else _nearest(key, known[section], f"keys of {section}")
        )
        raise SettingsError(f"{where}: there is no key {section}.{key}; {hint}")
    return known[section][key]


def _convert(section: str, key: str, value: object, where: str) -> object:
    field = _field(section, key, where)
    try:
        converted = msgspec.convert(value, field.type)
        if isinstance(converted, float) and not math.isfinite(converted):
            raise msgspec.ValidationError("not a finite number")
    except msgspec.ValidationError as error:
        if " - at `$[" in str(error) and _is_tables(field):
            raise SettingsError(f"{where}: {section}.{key}: {_inside(str(error))}") from error
        shown = "this value" if section == "auth" else _abridged(value)
        raise SettingsError(
            f"{where}: {section}.{key} cannot be {shown}; it is {allowed(field.type)}"
        ) from error
    return converted


def _is_tables(field: msgspec.structs.FieldInfo) -> bool:
    info = inspect.type_info(field.type)
    return isinstance(info, inspect.VarTupleType) and isinstance(info.item_type, inspect.StructType)


def _inside(message: str) -> str:
    """msgspec's words for a fault in a list of tables: `... - at `$[0].url``."""
    fault, _, place = message.rpartition(" - at `$[")
    number, _, rest = place.strip("`").partition("]")
    key = f", {rest[1:]}" if rest else ""
    return f"table {int(number) + 1}{key}: {fault[:1].lower()}{fault[1:]}"


def _abridged(value: object) -> str:
    text = " ".join(toml_of(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


# -- the file -------------------------------------------------------------------------------


def _read(path: Path, *, optional: bool) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        if optional:
            return None
        raise SettingsError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text, which TOML has to be") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error


def _from_file(
    path: Path, text: str, report: Callable[[SettingsError], None]
) -> Iterable[tuple[str, str, object]]:
    """The values of the file; what is wrong with one is reported in its place."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        where = f"{path}:{found[1]}" if found else str(path)
        reason = str(error)[: found.start()] if found else str(error)
        raise SettingsError(f"{where}: not valid TOML: {reason}") from error
    known = sections()
    for section, table in document.items():
        where = _place(path, text, section, None)
        if section not in known:
            report(SettingsError(f"{where}: {_unknown_top(section, known)}"))
            continue
        if not isinstance(table, dict):
            fault = f"{where}: {section} is a section: write [{section}] and its keys"
            report(SettingsError(fault))
            continue
        for key, value in table.items():
            try:
                converted = _file_value(path, section, key, value, _place(path, text, section, key))
            except SettingsError as error:
                report(error)
            else:
                yield section, key, converted


def _file_value(path: Path, section: str, key: str, value: object, where: str) -> object:
    if (section, key) == ("auth", "token"):
        raise SettingsError(
            f"{where}: auth.token may not stand in the file, which others may read; give "
            f"the credential {TOKEN_CREDENTIAL} or the variable VOICED_AUTH__TOKEN"
        )
    converted = _convert(section, key, value, where)
    base = path.absolute().parent
    if (section, key) in PATHS and isinstance(converted, str):
        return _from(base, converted)
    if key == "providers" and isinstance(converted, tuple):
        return tuple(
            msgspec.structs.replace(p, key_file=_from(base, p.key_file), ca=_from(base, p.ca))
            for p in converted
        )
    return converted


def _from(base: Path, path: str) -> str:
    return _tidied(str(base / Path(path).expanduser())) if path else ""


def _tidied(path: str) -> str:
    """`path` without `..`, where that means the same: not where it steps out of a link. Links
    stay, since a certificate is renewed by turning one elsewhere."""
    tidy = os.path.normpath(path)
    same = os.path.realpath(os.path.dirname(tidy)) == os.path.realpath(os.path.dirname(path))
    return tidy if same else path


def _unknown_top(name: str, known: Mapping[str, Mapping[str, object]]) -> str:
    if owners := [section for section, keys in known.items() if name in keys]:
        return f"{name} stands outside a section; it belongs under {_either(owners)}"
    return f"there is no section {name}; {_nearest(name, known, 'sections')}"


def _either(names: list[str]) -> str:
    return " or ".join(f"[{name}]" for name in names)


def _place(path: Path, text: str, section: str, key: str | None) -> str:
    """`path:line` of a section or key, or just the path where the line is not certain."""
    lines = list(_lines_of(text, section, key))
    return f"{path}:{lines[0]}" if len(lines) == 1 else str(path)


def _lines_of(text: str, section: str, key: str | None) -> Iterable[int]:
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[{1,2}([^\[\]]+)\]{1,2}\s*(#.*)?$", line):
            current = re.sub(r"[\s\"']", "", header[1])
            if current == (section if key is None else f"{section}.{key}"):
                yield number
        elif assignment := re.match(r"\s*([\w.\"'\- ]+?)\s*=", line):
            name = re.sub(r"[\s\"']", "", assignment[1])
            full = f"{current}.{name}" if current else name
            if (full == section) if key is None else (full == f"{section}.{key}"):
                yield number


# -- the environment and the credential -----------------------------------------------------


def _from_variable(name: str, raw: str) -> tuple[str, str, object]:
    section, _, key = name[len(PREFIX) :].partition("__")
    section, key = section.lower(), key.lower()
    field = _field(section, key, name)
    if (section, key) == ("auth", "token"):
        return section, key, _checked_token(raw, name)
    return section, key, _convert(section, key, _variable_value(raw, field), name)


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
    text = _read(path, optional=True)
    return None if text is None else _checked_token(text.strip(), str(path))


def _checked_token(token: str, where: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise SettingsError(
            f"{where}: the token is one word of printable ASCII characters, and not empty"
        )
    return token
