"""Random walks through whole sessions: whatever a client sends in whatever order, and engines
that fail on the way, the guarantees of the protocol hold, both oracles accept what comes (as in
every test), and nothing is left behind.

Every client event takes part, with formats, turn detections, functions and responses beside the
conversation, and in transcription sessions too. The model's own invariants have walks of their
own, without time and sound, in `tests/conversation`.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import trio
import trio.testing
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from msgspec import structs

from tests.realtime.fakes import (
    FakeLlm,
    FakeStt,
    FakeTts,
    Step,
    Talk,
    calls,
    says,
    silence,
    speech,
    talking,
)
from voiced.engines.ports import ReplyEnd, TextDelta
from voiced.errors import EngineCrashed
from voiced.realtime.wire import Append, Commit, decode
from voiced.settings import Settings

if TYPE_CHECKING:
    import pytest

CRASH = EngineCrashed("it died", public="an engine crashed")
SCRIPTS: list[list[Step]] = [
    says("Yes. ", "Of course, that is so. And more of it, too."),
    says(""),
    says("One. ", "Two. ", "Three. ", "Four."),
    [0.3, TextDelta("Well, let me think. "), 2.0, TextDelta("No."), ReplyEnd(finish="stop")],
    [TextDelta("Cut off in the"), ReplyEnd(finish="length")],
    [TextDelta("This goes wrong. "), 0.2, CRASH],
    [CRASH],
    calls("get_time"),
    calls("broken"),
    calls("open_door"),
    calls("open_door", "get_time", "open_window"),
    [TextDelta("One moment, "), *calls("open_door")],
]
TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object"}}
    for name in ("open_door", "open_window", "get_time")
]
GARBAGE = [
    "nonsense",
    "[]",
    "{}",
    '{"type":"nonsense"}',
    '{"type":"response.create","response":{"colour":"red"}}',
    '{"type":"input_audio_buffer.append","audio":"@@@"}',
    '{"type":"session.update","session":{"instructions":"no type"}}',
    '{"type":"conversation.item.truncate"}',
]
PICK = st.integers(0, 30)
"""Chooses among the items, responses or calls that there are by then."""

KINDS = st.sampled_from(["audio/pcmu", "audio/pcma", "audio/pcm"])
FORMATS = KINDS.map(lambda kind: {"type": kind, **({"rate": 24_000} if kind[-1] == "m" else {})})
FLAGS = {"create_response": st.booleans(), "interrupt_response": st.booleans()}
DETECTIONS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={**FLAGS, "idle_timeout_ms": st.sampled_from([None, 5_000])},
    ),
    st.fixed_dictionaries(
        {"type": st.just("semantic_vad")},
        optional={**FLAGS, "eagerness": st.sampled_from(["low", "medium", "high", "auto"])},
    ),
)
INPUTS: dict[Any, st.SearchStrategy[Any]] = {
    "turn_detection": DETECTIONS,
    "transcription": st.sampled_from([None, {"model": "whisper-1"}]),
    "format": FORMATS,
}
CHOICES = st.sampled_from(
    ["auto", "none", "required", {"type": "function", "name": "open_door"}, "nonsense"]
)
FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    "instructions": st.sampled_from(["", "Be brief."]),
    "output_modalities": st.sampled_from([["text"], ["audio"]]),
    "tools": st.sampled_from([[], TOOLS[:1], TOOLS]),
    "tool_choice": CHOICES,
    "max_output_tokens": st.sampled_from(["inf", 1, 5]),
}
OUTPUTS: dict[Any, st.SearchStrategy[Any]] = {
    "format": FORMATS,
    "speed": st.sampled_from([0.25, 1.0, 1.5]),
    "voice": st.sampled_from(["en-us", "another"]),
}
SESSIONS = st.fixed_dictionaries(
    {},
    optional={
        **FIELDS,
        "tracing": st.sampled_from([None, "auto"]),
        "colour": st.just("red"),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries({}, optional=INPUTS),
                "output": st.fixed_dictionaries({}, optional=OUTPUTS),
            },
        ),
    },
)
RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        **FIELDS,
        "conversation": st.sampled_from(["auto", "none"]),
        "input": st.lists(PICK, max_size=3),
        "metadata": st.just({"topic": "lamps"}),
    },
)
ACTS = st.one_of(
    st.tuples(st.just("speak"), st.sampled_from([30, 300, 900])),
    st.tuples(st.just("be_quiet"), st.sampled_from([40, 300, 1500])),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.1, 1.0, 3.0, 9.0])),
    st.tuples(st.just("type_in"), st.sampled_from([["text"], ["audio"]])),
    st.tuples(st.just("respond"), RESPONSES),
    st.tuples(st.just("configure"), SESSIONS),
    st.tuples(st.just("add"), st.tuples(st.integers(0, 6), PICK, st.none() | PICK)),
    st.tuples(st.just("give_output"), PICK),
    st.tuples(st.just("retrieve"), PICK),
    st.tuples(st.just("delete"), PICK),
    st.tuples(st.just("truncate"), st.tuples(PICK, st.sampled_from([0, 100, 700, 10_000]))),
    st.tuples(st.just("cancel"), st.none() | PICK),
    st.tuples(st.just("buffer"), st.sampled_from(["commit", "clear"])),
    st.tuples(st.just("garbage"), st.sampled_from(GARBAGE)),
    st.tuples(st.just("announce"), st.just("Your timer is over.")),
    st.tuples(st.just("break_engine"), st.sampled_from(["stt", "tts", "none"])),
)


SOME_AUDIO = b64encode(speech(300)).decode()

PATIENCE: dict[str, Any] = {"resume_s": 2.0, "backchannel_ms": 800}
"""With these settings a sound that may be nothing pauses a reply; without, it always interrupts."""

FORESIGHT: dict[str, Any] = {"speculate_ms": 40, "speculate_answer": True}
"""With these each pause may be the end of a turn, whose answer is begun."""

HEARD = st.lists(st.sampled_from(["", "mm-hmm", "stop", "turn on the", "One. Two."]), max_size=4)
"""What the recogniser answers while somebody speaks; where that is nothing, it cannot tell."""


class Walker:
    """A client that does anything at all, and the engines' bad luck."""

    def __init__(self, talk: Talk, stt: FakeStt, tts: FakeTts) -> None:
        self.talk = talk
        self.stt = stt
        self.tts = tts
        self.items: list[str] = ["gone"]
        self.responses: list[str] = ["gone"]
        self.calls: list[str] = ["gone"]
        self.named = 0

    async def collect(self) -> None:
        """Keep the names of what can be spoken of."""
        while True:
            event = await self.talk.next()
            if event["type"] == "conversation.item.added":
                self.items.append(event["item"]["id"])
                if event["item"]["type"] == "function_call":
                    self.calls.append(event["item"]["call_id"])
            elif event["type"] == "response.created":
                self.responses.append(event["response"]["id"])

    async def act(self, what: str, how: Any) -> None:  # noqa: ANN401 - as ACTS has it
        talk = self.talk
        match what:
            case "speak":
                await talk.hear(speech(how))
            case "be_quiet":
                await talk.hear(silence(how))
            case "wait":
                await trio.sleep(how)
            case "type_in":
                talk.type_in("hello", output_modalities=how)
            case "respond":
                talk.send("response.create", response=self.response(how))
            case "configure":
                talk.configure(**how)
            case "add":
                self.add(*how)
            case "give_output":
                self.give_output(how)
            case "retrieve" | "delete":
                talk.send(f"conversation.item.{what}", item_id=pick(self.items, how))
            case "truncate":
                item_id = pick(self.items, how[0])
                fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": how[1]}
                talk.send("conversation.item.truncate", **fields)
            case "cancel":
                named = {} if how is None else {"response_id": pick(self.responses, how)}
                talk.send("response.cancel", **named)
            case "buffer":
                talk.send(f"input_audio_buffer.{how}")
            case "garbage":
                event = decode(how)
                assert not isinstance(event, Append | Commit)
                talk.session.apply(event)
            case "announce":
                talk.announce(how)
            case "break_engine":
                self.stt.error = CRASH if how == "stt" else None
                self.tts.error = CRASH if how == "tts" else None

    def response(self, fields: dict[str, Any]) -> dict[str, Any]:
        if "input" not in fields:
            return fields
        named = [{"type": "item_reference", "id": pick(self.items, n)} for n in fields["input"]]
        return {**fields, "input": named}

    def add(self, kind: int, place: int, name: int | None) -> None:
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
            {"role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
            {"role": "user", "content": []},
            {"role": "user", "content": [{"type": "input_audio", "transcript": "hello"}]},
            {"role": "assistant", "content": [{"type": "output_audio", "audio": ""}]},
            {"role": "user", "content": [{"type": "input_audio", "audio": SOME_AUDIO}]},
        ]
        item = {"type": "message", **messages[kind]}
        if name is not None:  # now and then one that is there already
            item["id"] = pick(self.items, name) if name % 5 == 0 else f"mine_{self.named}"
            self.named += 1
        where = {} if place % 3 else {"previous_item_id": pick([*self.items, "root"], place)}
        self.talk.send("conversation.item.create", item=item, **where)

    def give_output(self, place: int) -> None:
        call_id = pick(self.calls, place)
        item = {"type": "function_call_output", "call_id": call_id, "output": "It is done."}
        self.talk.send("conversation.item.create", item=item)


def pick(names: list[str], place: int) -> str:
    """The newest for 0, and so on; a walk shrinks to the newest."""
    return names[-1 - place % len(names)]


def check_guarantees(events: list[dict[str, Any]]) -> None:
    """Those of the protocol sheet (3.3) that a client can check for itself."""
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)
    created = Counter(e["response"]["id"] for e in events if e["type"] == "response.created")
    done = Counter(e["response"]["id"] for e in events if e["type"] == "response.done")
    assert created == done
    assert not created or max(created.values()) == 1
    over: set[str] = set()
    opened: dict[str, set[str]] = defaultdict(set)
    deltas: dict[tuple[str, str, str], str] = defaultdict(str)
    for event in events:
        kind, response_id = event["type"], event.get("response_id", "")
        assert response_id not in over, event
        key = (response_id, event.get("item_id", ""), kind.rpartition(".")[0])
        if kind.endswith((".output_item.added", "content_part.added")):
            opened[response_id].add(f"{key[2]} {event.get('item', event).get('id')}")
        elif kind.endswith((".output_item.done", "content_part.done")):
            opened[response_id].remove(f"{key[2]} {event.get('item', event).get('id')}")
        elif kind.endswith(("text.delta", "transcript.delta", "arguments.delta")):
            deltas[key] += event["delta"]
        elif kind.endswith(("text.done", "transcript.done", "arguments.done")):
            (said,) = (event[name] for name in ("text", "transcript", "arguments") if name in event)
            assert deltas[key] == said
        elif kind == "response.done":
            assert not opened[event["response"]["id"]]
            over.add(event["response"]["id"])
    times = [e.get("audio_start_ms", e.get("audio_end_ms", 0)) for e in events]
    times = [at for at, e in zip(times, events, strict=True) if ".speech_" in e["type"]]
    assert times == sorted(times)


async def walk(
    acts: list[tuple[str, Any]],
    scripts: list[int],
    intent: str | None,
    heard: list[str],
    turns: dict[str, Any],
) -> None:
    """Do all that, come to rest, and see that everything is in order and still works."""
    llm = FakeLlm(*(SCRIPTS[number] for number in scripts), says("And so on."))
    tts, stt = FakeTts(clause_ms=400), FakeStt(partials=heard)
    settings = Settings()
    own = structs.replace(settings.turn_detection, **turns)
    settings = structs.replace(settings, turn_detection=own)
    async with (
        talking(llm=llm, tts=tts, stt=stt, intent=intent, settings=settings) as talk,
        trio.open_nursery() as nursery,
    ):
        walker = Walker(talk, stt, tts)
        nursery.start_soon(walker.collect)
        for what, how in acts:
            await walker.act(what, how)
        tts.error = stt.error = None
        # Everything comes to rest by itself, and then the session still works.
        talk.configure(audio={"input": {"turn_detection": None}})
        talk.send("input_audio_buffer.clear")
        await trio.sleep(120)
        check_guarantees(talk.events)
        assert llm.open == tts.open == stt.open == 0
        assert talk.session.replies.count == 0
        assert talk.session.pipeline.held_bytes == 0
        await still_works(talk, llm)
        nursery.cancel_scope.cancel(reason="the test is over")


async def still_works(talk: Talk, llm: FakeLlm) -> None:
    if talk.kind == "transcription":
        assert not [e for e in talk.events if e["type"].startswith("response.")]
        # Not "gone": a walk may have made an item of that name.
        talk.send("conversation.item.retrieve", item_id="never made", event_id="last")
        await trio.sleep(1)
        assert talk.events[-1]["error"]["event_id"] == "last"
        return
    llm.scripts = [says("Still here.")]
    talk.type_in("hello", tool_choice="auto", max_output_tokens="inf")
    await trio.sleep(5)
    last = [e for e in talk.events if e["type"] == "response.done"][-1]
    assert last["response"]["status"] == "completed"


# pytest's fixtures live as long as a test; a clock that jumps must be new for each walk.
def on_a_clock_that_jumps(
    acts: list[tuple[str, Any]],
    scripts: list[int],
    intent: str | None,
    heard: list[str],
    turns: dict[str, Any],
) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(partial(walk, acts, scripts, intent, heard, turns), clock=clock)


SLOW = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)


@examples(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(
    acts=st.lists(ACTS, min_size=30, max_size=80),
    scripts=st.lists(st.integers(0, len(SCRIPTS) - 1), min_size=20, max_size=40),
    heard=HEARD,
    patient=st.booleans(),
    foresees=st.booleans(),
)
def test_any_walk_through_a_conversation_keeps_the_guarantees(
    acts: list[tuple[str, Any]],
    scripts: list[int],
    heard: list[str],
    patient: bool,
    foresees: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    turns = (PATIENCE if patient else {}) | (FORESIGHT if foresees else {})
    on_a_clock_that_jumps(acts, scripts, None, heard, turns)
    assert "invariant broken" not in capsys.readouterr().out


@examples(max_examples=10, deadline=None, suppress_health_check=SLOW)
@given(acts=st.lists(ACTS, min_size=20, max_size=50), heard=HEARD)
def test_any_walk_through_a_transcription_keeps_the_guarantees(
    acts: list[tuple[str, Any]], heard: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_clock_that_jumps(acts, [], "transcription", heard, FORESIGHT)
    assert "invariant broken" not in capsys.readouterr().out
