"""The sentences file and the home file, read and checked: what the assistant can understand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.assistant.announcements import check_announcements
from voiced.assistant.document import Document, read_document
from voiced.assistant.network import Network, Range, SlotList, Value, Values, build_network
from voiced.assistant.replies import Reply, ReplyError, parse_reply
from voiced.assistant.templates import (
    Alternative,
    Node,
    TemplateError,
    parse_template,
    slots_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

ACTIONS = ("repeat",)
GENERAL_REPLIES = (
    "not_heard",
    "not_understood",
    "not_offered",
    "done",
    "failed",
    "ready",
    "silence",
)
_NAME = re.compile(r"[A-Za-z0-9_]+")


class ToolUse(msgspec.Struct, frozen=True):
    """What the sentences file says of a tool: its arguments, result fields, and outcomes."""

    arguments: tuple[str, ...]
    results: tuple[str, ...]
    outcomes: tuple[str, ...]


class Intent(msgspec.Struct, frozen=True):
    """What a sentence means: a tool to call, an action, or just a reply."""

    name: str
    tool: str
    action: str
    replies: dict[str, Reply]


class Sentence(msgspec.Struct, frozen=True):
    """One template, compiled. `place` is its file and line; not `spoken` is for typing only."""

    intent: Intent
    slots: dict[str, Any]
    network: Network
    place: str
    spoken: bool = True


class Sentences(msgspec.Struct, frozen=True):
    """Everything in the two files. `before` and `after` are phrases around a sentence that do
    not change it."""

    language: str
    sentences: tuple[Sentence, ...]
    before: tuple[Network, ...]
    after: tuple[Network, ...]
    written: dict[str, tuple[str, ...]]
    replies: dict[str, Reply]
    words: dict[str, str]
    """Every word of the templates, with the file and line of its first use."""


def load_sentences(sentences: Path, home: Path) -> Sentences:
    """Read both files. Raises `ModelError` with file and line for the first mistake."""
    return _Loader(read_document(sentences), read_document(home)).load()


class _Loader:
    def __init__(self, sentences: Document, home: Document) -> None:
        keys = ("language", "tools", "skip_words", "written", "lists", "expansion_rules",
                "intents", "replies", "announcements")  # fmt: skip
        self.root = sentences.keys(keys, ("language", "intents", "replies"))
        self.lists: dict[str, SlotList] = _home_lists(home)
        self.rules: dict[str, Node] = {}
        self.tools: dict[str, ToolUse] = {}
        self.sentences: list[Sentence] = []
        self.words: dict[str, str] = {}
        self.seen: dict[str, int] = {}

    def load(self) -> Sentences:
        for name, entry in self.section("lists").items():
            if name in self.lists:
                entry.fail(f"the list {name!r} comes from the home file")
            self.lists[name] = _slot_list(entry)
        rules = self.section("expansion_rules")
        self.rules.update({name: _template(entry) for name, entry in rules.items()})
        for name, entry in rules.items():
            self.network(self.rules[name], entry, may_be_empty=True)
        for name, entry in self.section("tools").items():
            self.tools[name] = _tool_use(entry)
        for name, entry in self.root["intents"].keys().items():
            if not _NAME.fullmatch(name):
                entry.fail(f"the intent's name {name!r} needs letters, digits and '_' only")
            self.intent(name, entry)
        allowed = ("before", "after")
        skipped = self.root["skip_words"].keys(allowed) if "skip_words" in self.root else {}
        phrases = {
            side: tuple(self.network(_template(text), text) for text in entry.texts())
            for side, entry in skipped.items()
        }
        if "announcements" in self.root:  # checked here, said by the daemon
            check_announcements(self.root["announcements"])
        replies = self.root["replies"].keys(GENERAL_REPLIES, GENERAL_REPLIES)
        return Sentences(
            language=self.root["language"].text(),
            sentences=tuple(self.sentences),
            before=phrases.get("before", ()),
            after=phrases.get("after", ()),
            written={key: self.spoken(entry) for key, entry in self.section("written").items()},
            replies={name: _reply(entry, ()) for name, entry in replies.items()},
            words=self.words,
        )

    def section(self, name: str) -> dict[str, Document]:
        return self.root[name].keys() if name in self.root else {}

    def spoken(self, entry: Document) -> tuple[str, ...]:
        value = entry.value()
        if not isinstance(value, str):
            entry.fail(f"expected a text, found {value!r}")
        return tuple(value.casefold().split())

    def network(self, node: Node, place: Document, *, may_be_empty: bool = False) -> Network:
        """Compile a template, and note its words."""
        try:
            network = build_network(node, self.lists, self.rules)
        except TemplateError as error:
            if may_be_empty and str(error) == "the sentence may be empty":
                return Network((), {})
            place.fail(str(error))
        for arcs in network.arcs:
            for arc in arcs:
                self.words.setdefault(arc.word, f"{place.path}:{place.line}")
        return network

    def intent(self, name: str, entry: Document) -> None:
        allowed = ("tool", "action", "data", "replies", "reply")
        keys = entry.keys(allowed, ("data",))
        tool = keys["tool"].text() if "tool" in keys else ""
        action = keys["action"].text() if "action" in keys else ""
        if tool and tool not in self.tools:
            known = ", ".join(sorted(self.tools)) or "none"
            keys["tool"].fail(f"the tool {tool!r} is not listed under `tools`; listed are {known}")
        if action and action not in ACTIONS:
            keys["action"].fail(f"unknown action {action!r}; known are {', '.join(ACTIONS)}")
        if tool and action:
            keys["action"].fail("an intent has a tool or an action, not both")
        if tool and "reply" in keys:
            keys["reply"].fail("an intent with a tool has `replies`, one for each outcome")
        if not tool and "reply" not in keys:
            entry.fail(f"the intent {name!r} has neither a tool nor a `reply`")
        if not tool and "replies" in keys:
            keys["replies"].fail("only an intent with a tool has `replies`; write `reply`")
        replies: dict[str, Reply] = {}
        intent = Intent(name, tool, action, replies)
        slot_names = self.data(intent, keys["data"])
        if tool:
            self.replies(intent, keys.get("replies"), slot_names)
        else:
            replies["ok"] = _reply(keys["reply"], slot_names)

    def data(self, intent: Intent, data: Document) -> set[str]:
        """Add the sentences of an intent; the names of slots that every one of them fills."""
        filled: set[str] | None = None
        blocks = list(data.entries())
        if not blocks:
            data.fail(f"the intent {intent.name!r} has no sentences")
        for block in blocks:
            keys = block.keys(("sentences", "slots", "spoken"), ("sentences",))
            spoken = keys["spoken"].boolean() if "spoken" in keys else True
            slots = (
                {k: v.value() for k, v in keys["slots"].keys().items()} if "slots" in keys else {}
            )
            for entry in keys["sentences"].texts():
                text = entry.text()
                if text in self.seen:
                    entry.fail(
                        f"the sentence {text!r} is here twice; first on line {self.seen[text]}"
                    )
                self.seen[text] = entry.line
                node = _template(entry)
                network = self.network(node, entry)
                place = f"{entry.path}:{entry.line}"
                names = slots_of(node, self.rules) | set(slots)
                if intent.tool:
                    for name in sorted(names - set(self.tools[intent.tool].arguments)):
                        entry.fail(f"the tool {intent.tool!r} takes no argument {name!r}")
                filled = names if filled is None else filled & names
                if network.finals:  # none with a list without values: a home without rooms
                    self.sentences.append(Sentence(intent, slots, network, place, spoken))
        return filled or set()

    def replies(self, intent: Intent, replies: Document | None, slots: set[str]) -> None:
        use = self.tools[intent.tool]
        if replies is None:
            return
        for outcome, entry in replies.keys(use.outcomes).items():
            intent.replies[outcome] = _reply(entry, slots | set(use.results))


def _tool_use(entry: Document) -> ToolUse:
    keys = entry.keys(("arguments", "results", "statuses", "errors"))
    names = {key: tuple(item.text() for item in value.texts()) for key, value in keys.items()}
    outcomes = ("ok", *names.get("statuses", ()), *names.get("errors", ()))
    return ToolUse(names.get("arguments", ()), names.get("results", ()), outcomes)


def _reply(entry: Document, known: Collection[str]) -> Reply:
    try:
        return parse_reply(entry.text(), known)
    except ReplyError as error:
        entry.fail(str(error))


def _template(entry: Document) -> Node:
    try:
        return parse_template(entry.text())
    except TemplateError as error:
        entry.fail(str(error))


def _slot_list(entry: Document) -> SlotList:
    keys = entry.keys(("values", "range"))
    if len(keys) != 1:
        entry.fail("a list has either `values` or a `range`")
    if "range" in keys:
        bounds = keys["range"].keys(("from", "to", "step", "decimals"), ("from", "to"))
        first, last = bounds["from"].integer(), bounds["to"].integer()
        step = bounds["step"].integer() if "step" in bounds else 1
        if not 0 <= first <= last <= 999_999 or step < 1:
            keys["range"].fail("a range goes up, from 0 at least to 999999 at most")
        decimals = bounds["decimals"].boolean() if "decimals" in bounds else False
        return Range(first, last, step, decimals)
    values: list[Value] = []
    for item in keys["values"].entries():
        if isinstance(item.value(), dict):
            parts = item.keys(("in", "out"), ("in", "out"))
            out = parts["out"].value()
            if not isinstance(out, (str, int, float)):
                parts["out"].fail(f"expected a text or a number, found {out!r}")
            values.append(Value(_template(parts["in"]), out))
        else:
            values.append(Value(_template(item), item.text()))
    if not values:
        keys["values"].fail("the list has no values")
    return Values(tuple(values))


def _home_lists(home: Document) -> dict[str, SlotList]:
    """The lists {room} and {device}: every name and alias, each giving the first name."""
    keys = home.keys(("rooms", "devices"))
    rooms = _named(keys.get("rooms"), ("name", "aliases"))
    devices = _named(keys.get("devices"), ("name", "aliases", "room"))
    lists: dict[str, SlotList] = {}
    for kind, things in (("room", rooms), ("device", devices)):
        values: list[Value] = []
        said: dict[Node, int] = {}
        for thing in things:
            name = thing["name"].text()
            names = [thing["name"], *(thing["aliases"].texts() if "aliases" in thing else ())]
            nodes = [_template(entry) for entry in names]
            for node, entry in zip(nodes, names, strict=True):
                if node in said:
                    entry.fail(f"{entry.text()!r} is here twice; first on line {said[node]}")
                said[node] = entry.line
            values.append(Value(Alternative(tuple(nodes)), name.casefold()))
            if "room" in thing and thing["room"].text() not in {r["name"].text() for r in rooms}:
                thing["room"].fail(f"there is no room {thing['room'].text()!r}")
        # A home without any: a list that nothing matches.
        lists[kind] = Values(tuple(values))
    return lists


def _named(entries: Document | None, allowed: Collection[str]) -> list[dict[str, Document]]:
    return [entry.keys(allowed, ("name",)) for entry in entries.entries()] if entries else []
