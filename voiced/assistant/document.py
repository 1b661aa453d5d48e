"""YAML read with the line of everything in it, so that a mistake can be named by its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# What an entry of a list, or the value of a key, begins with.
_FLOW = re.compile(r"\s*(?:-\s+|[\w ]+:\s+)*([\[{])")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document:
    """One node of a YAML file: a mapping, a list or a plain value, with its place.

    Every method raises `ModelError` in one line, `file:line: what is wrong`.
    """

    def __init__(self, path: Path, node: yaml.Node) -> None:
        self.path = path
        self.node = node

    @property
    def line(self) -> int:
        """The line in the file, counted from 1."""
        return int(self.node.start_mark.line) + 1

    def fail(self, message: str) -> NoReturn:
        """Raise `ModelError` at this place."""
        raise ModelError(f"{self.path}:{self.line}: {message}")

    def value(self) -> Any:  # noqa: ANN401 - whatever YAML holds
        """The plain Python value, everything below included."""
        loader = _Loader("")
        try:
            return loader.construct_document(self.node)
        except yaml.YAMLError as error:
            self.fail(_problem(error))
        finally:
            loader.dispose()

    def text(self) -> str:
        """A string with something in it."""
        value = self.value()
        if not isinstance(value, str) or not value.strip():
            self.fail(f"expected a text, found {value!r}{_quote_hint(value)}")
        return value

    def texts(self) -> list[Document]:
        """The entries of a list of strings; the list must not be empty."""
        found = list(self.entries())
        if not found:
            self.fail("expected at least one entry")
        for entry in found:
            entry.text()
        return found

    def integer(self) -> int:
        """A whole number."""
        value = self.value()
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(f"expected a whole number, found {value!r}")
        return value

    def boolean(self) -> bool:
        """True or false."""
        value = self.value()
        if not isinstance(value, bool):
            self.fail(f"expected true or false, found {value!r}")
        return value

    def entries(self) -> Iterator[Document]:
        """The entries of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("expected a list")
        return (Document(self.path, node) for node in self.node.value)

    def keys(
        self, allowed: Collection[str] | None = None, required: Collection[str] = ()
    ) -> dict[str, Document]:
        """The entries of a mapping. Keys are unique texts, of `allowed` where that is given."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail("expected a mapping (key: value)")
        found: dict[str, Document] = {}
        for key_node, node in self.node.value:
            place = Document(self.path, key_node)
            key = place.value()
            if not isinstance(key, str):
                place.fail(f"the key {key!r} is not a text{_quote_hint(key)}")
            if key in found:
                place.fail(f"{key!r} is here twice; first on line {found[key].line}")
            if allowed is not None and key not in allowed:
                place.fail(f"unknown key {key!r}; known are {', '.join(sorted(allowed))}")
            found[key] = Document(self.path, node)
        for key in required:
            if key not in found:
                self.fail(f"{key!r} is missing")
        return found


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises `ModelError` naming file, line and cause."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: is not UTF-8 text") from error
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ModelError(f"{path}:{line}: {_problem(error)}{_flow_hint(text, error)}") from error
    except yaml.YAMLError as error:
        raise ModelError(f"{path}: {_problem(error)}") from error
    if node is None:
        raise ModelError(f"{path}: is empty")
    return Document(path, node)


def _problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error)
    return "not valid YAML: " + " ".join(str(problem).split())


def _quote_hint(value: object) -> str:
    meant_as_text = isinstance(value, (bool, int, float, list, dict))
    return " (write it in quotes)" if meant_as_text else ""


def _flow_hint(text: str, error: yaml.MarkedYAMLError) -> str:
    """What to do where a template begins with what YAML takes for a list or a mapping."""
    lines = text.splitlines()
    for mark in (error.context_mark, error.problem_mark):
        if mark is None or mark.line >= len(lines):
            continue
        found = _FLOW.match(lines[mark.line])
        if found is not None:
            return f"; a text that begins with {found[1]} has to be written in quotes"
    return ""
