"""The files: a sentence is an edit, and a mistake is named by its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.assistant.assistant_helpers import shipped_sentences
from voiced.assistant.announcements import load_announcements
from voiced.assistant.files import assistant_files
from voiced.assistant.sentences import load_sentences
from voiced.assistant.understanding import Understander
from voiced.errors import ModelError
from voiced.tools.timers import Timers
from voiced.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from pathlib import Path

SENTENCES = """\
language: en
tools:
  ring:
    arguments: [room, count]
    results: [bells]
    errors: [broken]
lists:
  count: {range: {from: 1, to: 9}}
expansion_rules:
  now: (now|at once)
intents:
  Ring:
    tool: ring
    data:
      - sentences:
          - ring {count} times in the {room} [<now>]
    replies:
      ok: Rang {bells} bells in the {room}.
      broken: The bell is broken.
  Hello:
    data:
      - sentences: [hello]
    reply: Hello.
replies:
  not_heard: a
  not_understood: b
  not_offered: c
  done: d
  failed: e
  ready: f
  silence: g
"""
HOME = """\
rooms:
  - name: tower
    aliases: [belfry]
devices: []
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    sentences, home = tmp_path / "en.yaml", tmp_path / "home.yaml"
    sentences.write_text(SENTENCES)
    home.write_text(HOME)
    return sentences, home


def test_a_sentence_is_an_edit_of_the_file(files: tuple[Path, Path]) -> None:
    assert Understander(load_sentences(*files)).understand("knock twice") is None
    files[0].write_text(SENTENCES.replace("[hello]", "[hello, knock twice]"))
    meaning = Understander(load_sentences(*files)).understand("knock twice")
    assert meaning is not None
    assert meaning.intent.name == "Hello"
    assert meaning.place.endswith("en.yaml:22")


def test_an_alias_means_the_thing_itself(files: tuple[Path, Path]) -> None:
    meaning = Understander(load_sentences(*files)).understand("ring 3 times in the belfry now")
    assert meaning is not None
    assert meaning.slots == {"count": 3, "room": "tower"}


def test_a_home_without_rooms_or_devices_is_no_mistake(files: tuple[Path, Path]) -> None:
    files[1].write_text("rooms: []\n")
    understander = Understander(load_sentences(*files))
    assert understander.understand("ring 3 times in the tower") is None
    assert understander.understand("hello") is not None
    load_sentences(assistant_files({})[0], files[1])


@pytest.mark.parametrize(
    ("old", "new", "line", "fault"),
    [
        ("[<now>]", "[<soon>]", 16, "there is no rule <soon>"),
        ("{count} times", "{many} times", 16, "there is no list {many}"),
        ("[<now>]", "[<now>", 16, "'[' is not closed"),
        ("{count} times", "{count:loud} times", 16, "the tool 'ring' takes no argument 'loud'"),
        ("tool: ring", "tool: rang", 13, "the tool 'rang' is not listed"),
        ("bells} bells", "bell} bells", 18, "unknown placeholder {bell}"),
        ("{bells}", "{bells|loud}", 18, "unknown filter 'loud'"),
        ("broken: The", "cracked: The", 19, "unknown key 'cracked'"),
        ("Hello:\n", "Ring:\n", 20, "'Ring' is here twice; first on line 13"),
        ("[hello]", "[hello, hello]", 22, "'hello' is here twice; first on line 22"),
        ("[hello]", "[]", 22, "at least one entry"),
        ("reply: Hello.", "answer: Hello.", 23, "unknown key 'answer'"),
        ("    reply: Hello.\n", "", 21, "neither a tool nor a `reply`"),
        ("reply: Hello.", "action: dance\n    reply: Hello.", 23, "unknown action 'dance'"),
        ("reply: Hello.", "reply: 'no: {x'", 23, "'{' or '}'"),
        ("[hello]", "hello: [", 22, "not valid YAML"),
        ("[hello]", "\n      - [please] hello", 23, "begins with [ has to be written in quotes"),
        ("[hello]", "\n      - {bells} hello", 23, "begins with { has to be written in quotes"),
        ("[hello]", "[on]", 22, "write it in quotes"),
        ("from: 1, to: 9", "from: 9, to: 1", 8, "a range goes up"),
        ("from: 1, to: 9", "from: 1", 8, "'to' is missing"),
        ("now: (now|at once)", "now: (now|<now>)", 10, "contains itself"),
        ("  ready: f\n", "", 25, "'ready' is missing"),
        ("language: en", "tongue: en", 1, "unknown key 'tongue'"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(
    files: tuple[Path, Path], old: str, new: str, line: int, fault: str
) -> None:
    assert old in SENTENCES
    files[0].write_text(SENTENCES.replace(old, new, 1))
    with pytest.raises(ModelError) as error:
        load_sentences(*files)
    message = str(error.value)
    assert message.startswith(f"{files[0]}:{line}: "), message
    assert fault in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "line", "fault"),
    [
        ("[belfry]", "[tower]", 3, "'tower' is here twice"),
        ("devices: []", "devices: [{name: lamp, room: attic}]", 4, "there is no room 'attic'"),
        ("name: tower", "nam: tower", 2, "unknown key 'nam'"),
        ("name: tower", "name: (tower", 2, "'(' is not closed"),
        ("- name", "  name", 2, "expected a list"),
    ],
)
def test_a_mistake_in_the_home_is_too(
    files: tuple[Path, Path], old: str, new: str, line: int, fault: str
) -> None:
    files[1].write_text(HOME.replace(old, new, 1))
    with pytest.raises(ModelError) as error:
        load_sentences(*files)
    assert str(error.value).startswith(f"{files[1]}:{line}: ")
    assert fault in str(error.value)


def test_a_file_that_is_not_there_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.yaml: cannot be read: No such file"):
        load_sentences(tmp_path / "gone.yaml", files[1])
    files[0].write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"en\.yaml: is not UTF-8"):
        load_sentences(*files)
    files[0].write_text("")
    with pytest.raises(ModelError, match=r"en\.yaml: is empty"):
        load_sentences(*files)


def test_a_language_without_sentences_is_refused() -> None:
    assert assistant_files({"language": "en-GB"})[0].name == "en.yaml"
    assert assistant_files({"language": "auto"})[0].name == "en.yaml"
    with pytest.raises(ModelError, match="no sentences are shipped for the language 'tlh'"):
        assistant_files({"language": "tlh"})


async def test_the_shipped_file_agrees_with_the_tools(tmp_path: Path) -> None:
    toolbox = Toolbox.discover(timers=Timers(tmp_path, phrase=load_announcements({}).phrase))
    await trio.lowlevel.checkpoint()
    schemas = {schema["name"]: schema["parameters"] for schema in toolbox.schemas()}
    used = {s.intent.tool for s in shipped_sentences().sentences if s.intent.tool}
    assert used <= schemas.keys()
    for sentence in shipped_sentences().sentences:
        if sentence.intent.tool:
            properties = schemas[sentence.intent.tool]["properties"]
            marks = {m.slot for arcs in sentence.network.arcs for arc in arcs for m in arc.marks}
            assert (marks | sentence.slots.keys()) <= properties.keys(), sentence.place
