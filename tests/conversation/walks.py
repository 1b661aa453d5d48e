"""Random walks over everything that can happen to a conversation, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import hypothesis.strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.clients.oracles import judge_event
from tests.conversation.observer import Observer
from voiced.conversation import inputs as inp
from voiced.conversation.checks import violations
from voiced.conversation.config import (
    AnySessionConfig,
    Audio,
    AudioIn,
    SessionConfig,
    Transcription,
    TranscriptionAudio,
    TranscriptionSessionConfig,
)
from voiced.conversation.core import begin, step
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import Effect, Emit
from voiced.conversation.given import NewCall, NewMessage, NewOutput
from voiced.conversation.items import InputAudio, InputText, OutputText, Part

if TYPE_CHECKING:
    from voiced.conversation.state import State

PICK = st.integers(0, 1_000)
COUNT = st.integers(1, 6)
CHANCE = st.booleans()
OFTEN = st.integers(0, 7).map(lambda number: number > 0)
RARELY = st.integers(0, 7).map(lambda number: number == 0)
# Exact in binary, so that core and observer cannot differ by rounding alone.
DURATIONS_MS = st.sampled_from([20.0, 100.0, 33.25, 480.0])
DETECTIONS: list[Any] = [
    None,
    {"type": "server_vad"},
    {"type": "server_vad", "interrupt_response": False},
    {"type": "server_vad", "create_response": False},
    {"type": "server_vad", "interrupt_response": True, "create_response": True},
    {"type": "semantic_vad", "eagerness": "low"},
    {"type": "server_vad", "idle_timeout_ms": 5000},
    {"type": "server_vad", "idle_timeout_ms": 6000, "create_response": True},
]
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "open_door", "description": "Opens.", "parameters": {}},
    {"type": "function", "name": "set_light"},
]
UPDATES: list[dict[str, Any]] = [
    {"type": "realtime", "instructions": "Be brief."},
    {"type": "realtime", "instructions": ""},
    {"type": "realtime", "output_modalities": ["text"]},
    {"type": "realtime", "output_modalities": ["audio"]},
    {"type": "realtime", "max_output_tokens": 7},
    {"type": "realtime", "audio": {"output": {"voice": "de", "speed": 1.25}}},
    {"type": "realtime", "audio": {"input": {"transcription": None}}},
    {"type": "realtime", "audio": {"input": {"transcription": {"model": "phrases"}}}},
    {"type": "realtime", "audio": {"output": {"voice": {"id": "voice_1"}}}},
    {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24_000}}}},
    {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcma"}}}},
    {"type": "realtime", "tools": TOOLS},
    {"type": "realtime", "tools": TOOLS[:1], "tool_choice": "required"},
    {"type": "realtime", "tools": [], "tool_choice": "auto"},
    {"type": "realtime", "parallel_tool_calls": False},
    {"type": "realtime", "tools": [{"type": "mcp", "server_label": "x"}]},
    {"type": "realtime", "nonsense": 1},
    {"instructions": "without a type"},
]
OVERRIDES: list[dict[str, Any]] = [
    {},
    {},
    {"output_modalities": ["text"], "instructions": "In writing."},
    {"max_output_tokens": 5, "metadata": {"topic": "weather"}},
    {"audio": {"output": {"voice": "fr"}}},
    {"audio": {"output": {"voice": {"id": "fr"}, "format": {"type": "audio/pcma"}}}},
    {"tools": TOOLS, "tool_choice": {"type": "function", "name": "open_door"}},
    {"tool_choice": "none"},
    {"output_modalities": ["hologram"]},
]


class Watched(Exception):
    """A broken invariant, so that a control can tell which."""

    def __init__(self, numbers: set[int], what: str) -> None:
        super().__init__(f"{sorted(numbers)}: {what}")
        self.numbers = numbers


class Walk(RuleBasedStateMachine):
    """Feeds the core; after every step each invariant is looked at by name."""

    def __init__(self) -> None:
        super().__init__()
        self.observer = Observer()
        self.words = 0
        self.revision = 0
        self.effects: list[Effect] = []
        self.over = False

    # -- feeding ---------------------------------------------------------------------------

    @initialize(
        history_items=st.sampled_from([1, 4, 200]),
        transcribes=CHANCE,
        answers=OFTEN,
        holds=CHANCE,
        foresees=OFTEN,
    )
    def connect(
        self, history_items: int, transcribes: bool, answers: bool, holds: bool, foresees: bool
    ) -> None:
        asked = Transcription() if transcribes else None
        audio = Audio(input=AudioIn(transcription=asked, turn_detection=ServerVad()))
        config: AnySessionConfig
        if answers:
            config = SessionConfig(id="sess_1", model="voiced", expires_at=0, audio=audio)
        else:
            silent = TranscriptionAudio(input=audio.input)
            config = TranscriptionSessionConfig(id="sess_1", expires_at=0, audio=silent)
        self.state, effects = begin(
            config, seed="s", history_items=history_items, holds=holds, foresees=foresees
        )
        self.observer.watch(None, effects)

    def feed(self, event: inp.Input) -> None:
        before = self.state
        self.state, self.effects = step(before, event)
        self.inspect(before, event)

    def inspect(self, before: State, event: inp.Input) -> None:
        assert step(before, event) == (self.state, self.effects), "the step is not pure"
        for effect in self.effects:
            if isinstance(effect, Emit):
                judge_event(effect.event)
        self.observer.watch(event, self.effects)
        assert violations(before, self.state, self.effects) == []

    def say(self, count: int) -> str:
        """Words that nobody said before."""
        first, self.words = self.words, self.words + count
        return "".join(f"w{number} " for number in range(first, first + count))

    def an_item(self, pick: int) -> str:
        """An item's id: there, gone, promised, or never known."""
        known = [*self.observer.items, *filter(None, [self.state.speech_item]), "item_unknown"]
        return known[-1 - pick % len(known)]

    def a_call(self, pick: int) -> str:
        """A call's id, most often of one that was made."""
        known = [*sorted(self.observer.call_ids), "call_unknown"]
        return known[pick % len(known)]

    def a_response(self, pick: int) -> str:
        """A response's id, most often of one that runs."""
        running = self.observer.running()
        known = running if running and pick % 4 else [*self.observer.responses, "resp_unknown"]
        return known[pick % len(known)]

    # -- the microphone --------------------------------------------------------------------

    @rule(at_ms=st.integers(0, 10_000))
    def speech_starts(self, at_ms: int) -> None:
        self.feed(inp.SpeechStarted(at_ms))

    @rule(at_ms=st.integers(0, 10_000))
    def speech_stops(self, at_ms: int) -> None:
        self.feed(inp.SpeechStopped(at_ms))

    @precondition(lambda self: self.state.held is not None)
    @rule(echo=CHANCE, count=st.integers(0, 4))
    def held_sound_is_speech(self, echo: bool, count: int) -> None:
        """Words, too much of a sound, or what the reply itself said."""
        said = [clause.words for item in self.observer.items.values() for clause in item.clauses]
        text = " ".join(said[-1][:count]) if echo and said else self.say(count)
        self.feed(inp.SpeechConfirmed(text))

    @precondition(lambda self: self.state.holds and self.observer.active())
    @rule(at_ms=st.integers(0, 10_000), outcome=st.integers(0, 5), duration_ms=DURATIONS_MS)
    def someone_coughs(self, at_ms: int, outcome: int, duration_ms: float) -> None:
        """A sound during a reply, and what may come of it."""
        response_id = self.observer.active()[0]
        self.feed(inp.ReplyText(response_id=response_id, text=self.say(2)))
        item = self.observer.responses[response_id].item
        clauses = [] if item is None else item.clauses
        audio = inp.ReplyAudio(
            response_id=response_id,
            span=len(clauses) - 1,
            audio=b"\0\0",
            duration_ms=duration_ms,
            clause_ms=duration_ms + float(clauses[-1].sent_ms if clauses else 0),
        )
        self.feed(audio)
        self.feed(inp.SpeechStarted(at_ms))
        cut = inp.TruncateItem(
            item_id=self.observer.responses[response_id].item_id or "item_unknown",
            content_index=0,
            audio_end_ms=int(duration_ms) // 4,
        )
        outcomes: list[inp.Input] = [
            inp.SpeechDismissed(),
            inp.SpeechConfirmed(self.say(1)),
            inp.CancelResponse(),
            inp.ReplyEnded(response_id=response_id, finish="stop"),
            inp.ReplyFailed(response_id=response_id, code="engine_crashed", message="It died."),
            cut,
        ]
        self.feed(outcomes[outcome])

    @rule(at_ms=st.integers(0, 10_000))
    def nobody_speaks(self, at_ms: int) -> None:
        """Mostly nobody waits for it."""
        self.feed(inp.IdleTimeout(at_ms, at_ms + 5_000))

    @rule()
    def held_sound_is_nothing(self) -> None:
        self.feed(inp.SpeechDismissed())

    @rule(buffered_ms=st.sampled_from([0.0, 99.9, 100.0, 2_000.0]))
    def commit(self, buffered_ms: float) -> None:
        self.feed(inp.CommitAudio(buffered_ms=buffered_ms, event_id="commit_1"))

    @rule(pick=PICK, count=st.integers(0, 4))
    def transcript_comes(self, pick: int, count: int) -> None:
        waiting = list(self.observer.unheard)
        item_id = waiting[pick % len(waiting)] if waiting and pick % 5 else self.an_item(pick)
        self.feed(inp.TranscriptReady(item_id=item_id, text=self.say(count), duration_s=1.0))

    @rule(pick=PICK)
    @precondition(lambda self: self.observer.unheard)
    def transcript_fails(self, pick: int) -> None:
        item_id = [*self.observer.unheard, self.an_item(pick)][pick % 2]
        self.feed(inp.TranscriptFailed(item_id=item_id, code="engine_crashed", message="It died."))

    @rule(words=COUNT, at_ms=st.integers(0, 10_000))
    def someone_takes_a_turn(self, words: int, at_ms: int) -> None:
        """What happens most: speech, its end, its transcript."""
        self.feed(inp.SpeechStarted(at_ms))
        item_id = self.state.speech_item
        self.feed(inp.SpeechStopped(at_ms + 500))
        if item_id is not None:
            text = self.say(words)
            self.feed(inp.TranscriptReady(item_id=item_id, text=text, duration_s=0.5))

    @rule(count=st.integers(0, 3), stale=RARELY)
    def guess(self, count: int, stale: bool) -> None:
        """What was said so far, at any time; now and then one that comes too late."""
        self.revision += 0 if stale else 1
        self.feed(inp.TurnGuessed(revision=self.revision, text=self.say(count)))

    @rule(back=st.integers(0, 2))
    def guess_is_nothing(self, back: int) -> None:
        self.feed(inp.GuessDropped(max(0, self.revision - back)))

    @rule(
        words=COUNT,
        at_ms=st.integers(0, 10_000),
        goes_on=RARELY,
        same=OFTEN,
        between=st.integers(0, 7),
        right=CHANCE,
    )
    def someone_is_foreseen(
        self, words: int, at_ms: int, goes_on: bool, same: bool, between: int, right: bool
    ) -> None:
        """A turn that was guessed; something may come between, or its words be others after all."""
        self.feed(inp.SpeechStarted(at_ms))
        item_id = self.state.speech_item
        text = self.say(words)
        self.revision += 1
        self.feed(inp.TurnGuessed(revision=self.revision, text=text))
        if goes_on:
            self.feed(inp.GuessDropped(self.revision))
            self.feed(inp.TurnGuessed(revision=self.revision, text=text))  # too late
        between_them: dict[int, inp.Input] = {
            0: inp.CreateItem(item=NewMessage(role="user", content=(InputText(self.say(1)),))),
            1: inp.UpdateSession(session={"type": "realtime", "instructions": self.say(1)}),
            2: inp.CreateResponse(overrides={}),
            3: inp.ClearAudio(),
        }
        if between in between_them and right:
            self.feed(between_them[between])
        self.feed(inp.SpeechStopped(at_ms + 500))
        if between in between_them and not right:
            self.feed(between_them[between])
        if item_id is not None:
            final = text if same else self.say(words)
            self.feed(inp.TranscriptReady(item_id=item_id, text=final, duration_s=0.5))

    # -- the client ------------------------------------------------------------------------

    @rule(patch=st.sampled_from(UPDATES), right=OFTEN)
    def update(self, patch: dict[str, Any], right: bool) -> None:
        if right and "type" in patch:
            patch = {**patch, "type": self.state.config.type}
        self.feed(inp.UpdateSession(session=patch, event_id="update_1"))

    @rule(detection=st.sampled_from(DETECTIONS))
    def change_turn_detection(self, detection: dict[str, Any] | None) -> None:
        kind = self.state.config.type
        patch = {"type": kind, "audio": {"input": {"turn_detection": detection}}}
        self.feed(inp.UpdateSession(session=patch))

    @rule(
        count=COUNT,
        kind=st.sampled_from(["typed"] * 4 + ["said", "written down", "by the assistant"]),
        place=st.sampled_from(["end", "end", "root", "behind"]),
        named=st.sampled_from([None, None, "mine_1", "mine_2", "item_s000003", "root"]),
        pick=PICK,
    )
    def create_item(self, count: int, kind: str, place: str, named: str | None, pick: int) -> None:
        text = self.say(count)
        content: dict[str, tuple[Part, ...]] = {
            "typed": (InputText(text),),
            "said": (InputText(text), InputAudio(audio=b"\0\0")),
            "written down": (InputAudio(text, audio=b"\0\0"),),
            "by the assistant": (OutputText(text),),
        }
        role: Literal["user", "assistant"] = "user" if "by" not in kind else "assistant"
        new = NewMessage(role=role, content=content[kind], id=named)
        behind = {"end": None, "root": "root", "behind": self.an_item(pick)}[place]
        self.feed(inp.CreateItem(item=new, previous_item_id=behind, event_id="item_1"))

    @rule(pick=PICK, made=RARELY, again=RARELY)
    def create_tool_item(self, pick: int, made: bool, again: bool) -> None:
        """What a client's function answered; now and then a call that was made elsewhere."""
        new: NewOutput | NewCall = NewOutput(call_id=self.a_call(pick), output=self.say(2))
        if made:
            new = NewCall(
                name="look_up",
                arguments=f'{{"query": "{self.say(1)}"}}',
                call_id=self.a_call(pick) if again else None,
            )
        self.feed(inp.CreateItem(item=new, event_id="item_2"))

    @rule(pick=PICK)
    def delete_item(self, pick: int) -> None:
        self.feed(inp.DeleteItem(item_id=self.an_item(pick)))

    @precondition(lambda self: any(item.clauses for item in self.observer.items.values()))
    @rule(pick=PICK, content_index=RARELY.map(int), share=st.floats(0.0, 1.2))
    def truncate_item(self, pick: int, content_index: int, share: float) -> None:
        spoken = [key for key, item in self.observer.items.items() if item.clauses]
        item_id = spoken[-1 - pick % len(spoken)] if spoken and pick % 5 else self.an_item(pick)
        item = self.observer.items.get(item_id)
        sent_ms = float(sum(clause.sent_ms for clause in item.clauses)) if item else 0.0
        at_ms = int(share * sent_ms) if pick % 7 else pick * 3
        self.feed(
            inp.TruncateItem(item_id=item_id, content_index=content_index, audio_end_ms=at_ms)
        )

    @rule(overrides=st.sampled_from(OVERRIDES))
    def create_response(self, overrides: dict[str, Any]) -> None:
        self.feed(inp.CreateResponse(overrides=overrides, event_id="create_1"))

    @rule(overrides=st.sampled_from(OVERRIDES), shown=st.integers(0, 3), pick=PICK)
    def create_response_beside(self, overrides: dict[str, Any], shown: int, pick: int) -> None:
        context: list[dict[str, Any]] = []
        if shown > 1:
            context.append({"type": "item_reference", "id": self.an_item(pick)})
        if shown > 2:
            text = {"type": "input_text", "text": self.say(2)}
            context.append({"type": "message", "role": "user", "content": [text]})
            made = {"type": "function_call", "name": "look_up", "arguments": "{}"}
            number = len(context)
            context.append(made)
            answer = {"type": "function_call_output", "output": self.say(1)}
            call_id = self.a_call(pick) if pick % 2 else f"call_input_{number}"
            context.append({**answer, "call_id": call_id})
        given = {"input": context} if shown else {}
        self.feed(inp.CreateResponse(overrides={**overrides, **given, "conversation": "none"}))

    @rule(named=CHANCE, pick=PICK)
    def cancel_response(self, named: bool, pick: int) -> None:
        response_id = self.a_response(pick) if named else None
        self.feed(inp.CancelResponse(response_id=response_id, event_id="cancel_1"))

    @rule(which=st.integers(0, 4), pick=PICK)
    def client_asks_for_little(self, which: int, pick: int) -> None:
        """What changes nothing or next to nothing."""
        item_id = self.an_item(pick)
        asked: list[inp.Input] = [
            inp.ClearAudio(),
            inp.RefuseEvent(code="invalid_json", message="Not JSON."),
            inp.RetrieveItem(item_id=item_id),
            inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=pick),
            inp.TranscriptReady(item_id=item_id, text="late", duration_s=1.0),
        ]
        self.feed(asked[which])

    # -- the engines -----------------------------------------------------------------------

    @rule(pick=PICK, count=COUNT)
    def reply_text(self, pick: int, count: int) -> None:
        self.feed(inp.ReplyText(response_id=self.a_response(pick), text=self.say(count)))

    @precondition(lambda self: self.observer.running())
    @rule(
        pick=PICK,
        name=st.sampled_from(["open_door", "open_door", "set_light", "look_up"]),
        call_id=st.sampled_from(["call_1", "call_2", "no good", ""]),
        arguments=st.sampled_from(["{}", '{"door": "front"}', ""]),
    )
    def reply_call(self, pick: int, name: str, call_id: str, arguments: str) -> None:
        self.feed(
            inp.ReplyCall(
                response_id=self.a_response(pick), call_id=call_id, name=name, arguments=arguments
            )
        )

    @precondition(lambda self: self.observer.active())
    @rule(pick=PICK, count=st.integers(1, 2), speaks=CHANCE, answered=CHANCE)
    def a_function_is_called(self, pick: int, count: int, speaks: bool, answered: bool) -> None:
        """What happens most: a call or two, the end of the response, and what they came to."""
        response_id = self.observer.active()[0]
        self.feed(inp.UpdateSession(session={"type": "realtime", "tools": TOOLS}))
        if speaks:
            self.feed(inp.ReplyText(response_id=response_id, text=self.say(2)))
        before = set(self.observer.call_ids)
        for number in range(count):
            name = str(TOOLS[(pick + number) % 2]["name"])
            call = inp.ReplyCall(response_id=response_id, call_id="", name=name, arguments="{}")
            self.feed(call)
        own: tuple[dict[str, Any], ...] = ()
        if pick % 3 == 0:
            own_id = f"own_{self.words}"
            function = {"name": "get_time", "arguments": "{}"}
            asked = {"id": own_id, "type": "function", "function": function}
            own = (
                {"role": "assistant", "content": None, "tool_calls": [asked]},
                {"role": "tool", "tool_call_id": own_id, "content": "noon"},
            )
            self.words += 1
        self.feed(inp.ReplyEnded(response_id=response_id, finish="stop", own=own))
        for call_id in sorted(self.observer.call_ids - before) if answered else ():
            new = NewOutput(call_id=call_id, output=self.say(1))
            self.feed(inp.CreateItem(item=new))

    @rule(pick=PICK, span=st.integers(0, 3), duration_ms=DURATIONS_MS, rest_ms=DURATIONS_MS)
    def reply_audio(self, pick: int, span: int, duration_ms: float, rest_ms: float) -> None:
        response_id = self.a_response(pick)
        item = self.observer.responses[response_id].item if "unk" not in response_id else None
        last = len(item.clauses) - 1 if item is not None else 0
        # Mostly the last clause, as in life; now and then one that is over, or never was.
        number = last if span else pick % 4
        clause_ms = 0.0
        if item is not None and 0 <= number <= last and rest_ms > 20:
            clause_ms = float(item.clauses[number].sent_ms) + duration_ms + rest_ms
        audio = inp.ReplyAudio(
            response_id=response_id,
            span=number,
            audio=b"\0\0",
            duration_ms=duration_ms,
            clause_ms=clause_ms,
        )
        self.feed(audio)

    @precondition(lambda self: self.observer.running())
    @rule(
        pick=PICK,
        clauses=st.lists(st.lists(DURATIONS_MS, max_size=4), min_size=1, max_size=3),
        ends=CHANCE,
    )
    def someone_is_answered(self, pick: int, clauses: list[list[float]], ends: bool) -> None:
        """What happens most: clauses, each with its audio; only the last may be unfinished."""
        response_id = self.observer.running()[pick % len(self.observer.running())]
        item = self.observer.responses[response_id].item
        span = len(item.clauses) if item is not None else 0
        for number, durations in enumerate(clauses, span):
            self.feed(inp.ReplyText(response_id=response_id, text=self.say(3)))
            unsent_ms = 250.0 if pick % 2 and number == span + len(clauses) - 1 else 0.0
            for duration_ms in durations:
                audio = inp.ReplyAudio(
                    response_id=response_id,
                    span=number,
                    audio=b"\0\0",
                    duration_ms=duration_ms,
                    clause_ms=sum(durations) + unsent_ms,
                )
                self.feed(audio)
        if ends:
            self.feed(inp.ReplyEnded(response_id=response_id, finish="stop", output_tokens=3))

    @precondition(lambda self: self.observer.responses)
    @rule(pick=PICK, cut=RARELY)
    def reply_ends(self, pick: int, cut: bool) -> None:
        finish = inp.ReplyEnded(
            response_id=self.a_response(pick), finish="length" if cut else "stop"
        )
        self.feed(finish)

    @precondition(lambda self: self.observer.responses)
    @rule(pick=PICK, sure=RARELY)
    def reply_fails(self, pick: int, sure: bool) -> None:
        if not sure:
            return
        failure = inp.ReplyFailed(
            response_id=self.a_response(pick), code="engine_crashed", message="It died."
        )
        self.feed(failure)

    # -- summaries -------------------------------------------------------------------------

    def oldest(self, pick: int) -> list[str]:
        """Whole turns, the oldest of what was not summed up yet; none while one is under way."""
        left = self.observer.left(self.observer.order)
        items = [self.observer.items[item_id] for item_id in left]
        starts = [number for number, item in enumerate(items) if number and item.role == "user"]
        if not starts:
            return []
        cut = starts[pick % len(starts)]
        settled = all(i.status != "in_progress" and not i.transcribing for i in items[:cut])
        return left[:cut] if settled else []

    @rule(pick=PICK, count=COUNT, late=RARELY)
    def oldest_are_summed_up(self, pick: int, count: int, late: bool) -> None:
        """Now and then one of them has gone meanwhile."""
        item_ids = [*self.oldest(pick), *(["item_unknown"] if late else [])]
        if item_ids:
            self.feed(inp.Summarised(text=self.say(count), item_ids=frozenset(item_ids)))

    @precondition(lambda self: not self.observer.running())
    @rule(pick=PICK, turns=st.integers(2, 4), between=st.integers(0, 4), again=CHANCE)
    def a_long_talk_is_summed_up(self, pick: int, turns: int, between: int, again: bool) -> None:
        """Turns, a summary of the oldest, something about one of them, and a question."""
        for _ in range(turns):
            said = NewMessage(role="user", content=(InputText(self.say(2)),))
            answer = NewMessage(role="assistant", content=(OutputText(self.say(2)),))
            self.feed(inp.CreateItem(item=said))
            self.feed(inp.CreateItem(item=answer))
        for _ in range(1 + again):
            if item_ids := self.oldest(pick):
                self.feed(inp.Summarised(text=self.say(3), item_ids=frozenset(item_ids)))
        covered = [i for i in self.observer.order if i not in self.observer.left([i])]
        item_id = covered[pick % len(covered)] if covered else self.an_item(pick)
        between_them: dict[int, inp.Input] = {
            0: inp.DeleteItem(item_id=item_id),
            1: inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=pick % 50),
            2: inp.UpdateSession(session={"type": "realtime", "instructions": self.say(1)}),
            3: inp.CreateItem(
                item=NewMessage(role="user", content=(InputText(self.say(1)),)),
                previous_item_id="root",
            ),
        }
        if between in between_them:
            self.feed(between_them[between])
        self.feed(inp.CreateResponse(overrides={}))

    # -- the daemon ------------------------------------------------------------------------

    @rule(count=COUNT)
    def announce(self, count: int) -> None:
        self.feed(inp.Announce(self.say(count)))

    @precondition(lambda self: self.words > 60)
    @rule(sure=RARELY, expires=CHANCE)
    def end(self, sure: bool, expires: bool) -> None:
        if sure:
            self.feed(inp.Expire() if expires else inp.ShutDown())

    def teardown(self) -> None:
        """Every walk ends with the session, so that what was left open shows."""
        if hasattr(self, "state") and not self.over:
            self.feed(inp.ShutDown())
            for number in range(1, 14):
                self.look(number)

    # -- the invariants, by name -----------------------------------------------------------

    def look(self, number: int) -> None:
        numbers = {broken for broken, _ in self.observer.broken}
        if number in numbers:
            self.over = True
            raise Watched(numbers, "; ".join(what for _, what in self.observer.broken))

    @invariant()
    def i1_one_active_response_in_the_conversation(self) -> None:
        self.look(1)

    @invariant()
    def i2_created_is_done_exactly_once(self) -> None:
        self.look(2)

    @invariant()
    def i3_what_was_added_is_closed_before(self) -> None:
        self.look(3)

    @invariant()
    def i4_nothing_after_the_end(self) -> None:
        self.look(4)

    @invariant()
    def i5_deltas_add_up(self) -> None:
        self.look(5)

    @invariant()
    def i6_interruption_cancels(self) -> None:
        self.look(6)

    @invariant()
    def i7_a_response_runs_on_a_snapshot(self) -> None:
        self.look(7)

    @invariant()
    def i8_speech_is_stored_before_it_is_answered(self) -> None:
        self.look(8)

    @invariant()
    def i9_the_previous_item_is_the_one_in_front(self) -> None:
        self.look(9)

    @invariant()
    def i11_audio_is_kept_as_long_as_its_item(self) -> None:
        self.look(11)

    @invariant()
    def i10_the_model_knows_what_was_heard(self) -> None:
        self.look(10)

    @invariant()
    def i12_only_the_same_question_was_answered_in_advance(self) -> None:
        self.look(12)

    @invariant()
    def i13_what_was_summed_up_is_told_in_short_and_no_other_way(self) -> None:
        self.look(13)


class WatchedByChecks(Walk):
    """The same walk, with nothing but the checks of a running session to notice."""

    def inspect(self, before: State, event: inp.Input) -> None:
        found = violations(before, self.state, self.effects)
        if found:
            self.over = True
            numbers = {violation.invariant for violation in found}
            raise Watched(numbers, "; ".join(violation.message for violation in found))
        self.observer.watch(event, self.effects)
        self.observer.broken.clear()


class WatchedByObserver(Walk):
    """The same walk, with nothing but the observer to notice."""

    def inspect(self, before: State, event: inp.Input) -> None:
        self.observer.watch(event, self.effects)
