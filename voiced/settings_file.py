"""The settings in a TOML file, each with the line where it stands when something is wrong with it.

A path that does not begin at the root is meant from where the file lies.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voiced.errors import SettingsError
from voiced.settings_keys import convert, nearest, sections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TOKEN_CREDENTIAL = "voiced-token"
PATHS = frozenset(
    {
        *(("llm", "sentences"), ("llm", "home"), ("store", "directory"), ("store", "models")),
        *(("llm", "chat_template"), ("thermal", "source")),
        *(("server", "tls_cert"), ("server", "tls_key")),
    }
)
"""The keys that hold the path of a file or directory."""


def read_text(path: Path, *, optional: bool) -> str | None:
    """What a file says; None where it is not there and `optional`. Raises `SettingsError`."""
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


def file_values(
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
    converted = convert(section, key, value, where)
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
    return f"there is no section {name}; {nearest(name, known, 'sections')}"


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
