"""`docs/realtime.md` says what the code does: it is what the code writes, and the codes in it are
those that the source can send."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voiced.realtime.codes import CLOSE_CODES, CONNECT_CODES, ERROR_CODES, FAILURE_CODES
from voiced.realtime.reference import PAGE, write_page
from voiced.realtime.schemas import client_schemas, server_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2] / "voiced"
CORE = [
    path
    for folder in ("conversation", "realtime")
    for path in (ROOT / folder).glob("*.py")
    if path.name != "codes.py"
]
DOOR = [
    ROOT / "web" / f"{name}.py"
    for name in ("admission", "auth", "handshake", "request_shape", "trust", "websocket")
]

# Where a call takes the code: its position, which is also named `code`.
ERRORS = {"Rejected": 0, "missing": 0, "RefuseEvent": None, "Garbage": None}
FAILURES = {
    "ReplyFailed": None,
    "ShutDown": 0,
    "TranscriptFailed": None,
    "end_responses": 1,
    "fail_response": 2,
    "_fail_reply": 1,
    "failure": 1,
}
CLOSES = {"Close": 0, "fail": 0, "aclose": 0}
REFUSALS = {"Refusal": 1}


def calls_in(paths: Iterable[Path]) -> Iterator[tuple[Path, ast.Call, str]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                yield path, node, name


def code_of(call: ast.Call, place: int | None) -> ast.expr | None:
    if place is not None and len(call.args) > place:
        return call.args[place]
    return next((word.value for word in call.keywords if word.arg == "code"), None)


def codes_in(paths: Iterable[Path], takers: Mapping[str, int | None]) -> set[object]:
    """Every code that is written where one of `takers` is called.

    One that is handed on has a name of its own, and is found where it comes from; anything else
    that is no plain constant fails, as it cannot be read here.
    """
    found: set[object] = set()
    for path, call, name in calls_in(paths):
        if name not in takers:
            continue
        code = code_of(call, takers[name])
        for part in [code.body, code.orelse] if isinstance(code, ast.IfExp) else [code]:
            if isinstance(part, ast.Constant):
                found.add(part.value)
            elif part is not None and not isinstance(part, ast.Name | ast.Attribute):
                pytest.fail(f"{path.name}:{call.lineno} computes a code: {ast.unparse(part)}")
    return found - {None}


def constants_in(paths: Iterable[Path], name: str) -> set[object]:
    """The values of module constants whose names match, and of the fields so named."""
    found: set[object] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=target), value=value):
                    pass
                case _:
                    continue
            if not re.fullmatch(name, target):
                continue
            values = value.values if isinstance(value, ast.Dict) else [value]
            found |= {item.value for item in values if isinstance(item, ast.Constant)}
    return found - {None}


def test_the_page_is_what_the_code_writes() -> None:
    assert PAGE.read_text() == write_page(), "run python -m voiced.realtime.reference"


def test_every_error_code_is_in_the_page_and_every_one_in_the_page_can_come() -> None:
    assert codes_in(CORE, ERRORS) | constants_in(CORE, "CODES|code") == {
        *ERROR_CODES,
        *constants_in([ROOT / "conversation/inputs.py"], "code"),
    }


def test_every_failure_code_is_in_the_page_and_every_one_in_the_page_can_come() -> None:
    shut_down = constants_in([ROOT / "conversation/inputs.py"], "code")
    assert codes_in(CORE, FAILURES) | shut_down == set(FAILURE_CODES)


def test_every_code_at_the_door_is_in_the_page_and_every_one_in_the_page_can_come() -> None:
    assert codes_in(DOOR, REFUSALS) == set(CONNECT_CODES)


def test_every_close_code_is_in_the_page_and_every_one_in_the_page_can_come() -> None:
    used = codes_in(CORE, CLOSES) | constants_in([*CORE, *DOOR], "CLOSE_[A-Z_]+|close_code")
    assert used == set(CLOSE_CODES)


def test_the_reading_of_the_source_finds_what_it_should(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text(
        "CLOSE_ODD = 4999\n"
        "raise Rejected('one', 'why')\n"
        "RefuseEvent(code='two' if x else 'three', message='')\n"
        "raise Rejected(why.code, '')\n"
    )
    assert codes_in([source], ERRORS) == {"one", "two", "three"}
    assert constants_in([source], "CLOSE_[A-Z_]+") == {4999}
    source.write_text("raise Rejected(f'item_{kind}', 'why')\n")
    with pytest.raises(pytest.fail.Exception, match="computes a code"):
        codes_in([source], ERRORS)


def test_links_in_the_page_lead_to_tables_of_it() -> None:
    page = write_page()
    targets = set(re.findall(r"\]\(#([^)]*)\)", page))
    assert targets
    assert targets <= set(re.findall(r'<a id="([^"]*)">', page))


def test_every_event_says_what_it_is() -> None:
    silent = [
        name
        for schemas in (client_schemas(), server_schemas())
        for name, schema in schemas.events.items()
        if not schema.get("description")
    ]
    assert silent == []
