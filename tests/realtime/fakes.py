"""The ports of `voiced.engines.ports` in memory, and a session that works on them.

A fake keeps to its protocol's contract (`test_port_contract.py` runs it against fakes and real
engines alike) and tells how each request was left: "done", or "cancelled".
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import trio
import trio.testing
from msgspec import structs

from tests.clients.oracles import judge
from voiced.audio.formats import PCM, WireFormat
from voiced.audio.pcm import SPEECH_HZ, WIRE_HZ, bytes_for_ms
from voiced.conversation import inputs as inp
from voiced.engines.ports import (
    EARLY,
    EngineInfo,
    Partial,
    PcmChunk,
    Priority,
    ReplyEnd,
    ReplyPart,
    TextDelta,
    ToolCall,
    Transcript,
    Utterance,
)
from voiced.engines.tts.voices import Voices
from voiced.realtime.hub import SessionHub
from voiced.realtime.item_audio import AudioBudget
from voiced.realtime.parts import SessionParts
from voiced.realtime.reply import Speaker
from voiced.realtime.wire import Append, Commit, decode
from voiced.settings import Settings
from voiced.store.history import History
from voiced.telemetry.insights import Insights
from voiced.thermal.heat import Heat
from voiced.tools.notice import Notice
from voiced.tools.toolbox import ToolUse
from voiced.turns.silero import CHUNK, SileroState, SileroVad

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from voiced.conversation.effects import Close
    from voiced.engines.ports import ToolChoice
    from voiced.realtime.session import Session
    from voiced.tools.toolbox import Toolbox

CEILING_S = 100_000.0
"""On the mock clock; ends a test that waits for what never comes."""

Step = ReplyPart | Exception | float
"""What a scripted reply does next: say something, fail, or let so many seconds pass."""


class Leaving:
    """Keeps a log of how requests were left."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.open = 0

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        self.open += 1
        try:
            yield
        except trio.Cancelled:
            self.left.append("cancelled")
            raise
        except BaseException:
            self.left.append("failed")
            raise
        else:
            self.left.append("done")
        finally:
            self.open -= 1


class FakeStt(Leaving):
    """Has always heard `text`, `delay_s` after the end, unless it is to raise `error`.

    Asked what it has heard so far, it answers with the next of `partials`, then the last again
    and again; without any it cannot tell.
    """

    info = EngineInfo(kind="stt", name="fake", version="1")
    answer_s = 0.003

    def __init__(
        self,
        text: str = "what time is it",
        delay_s: float = 0.1,
        error: Exception | None = None,
        partials: Sequence[str | Partial] = (),
    ) -> None:
        super().__init__()
        self.partials = [p if isinstance(p, Partial) else Partial(text=p) for p in partials]
        self.questions = 0
        self.text = text
        self.delay_s = delay_s
        self.error = error
        self.heard: list[bytes] = []
        self.asked: list[tuple[str, str]] = []

    @asynccontextmanager
    async def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AsyncIterator[Utterance]:
        self.asked.append((language, prompt))
        async with self.entered():
            yield FakeUtterance(self)


class EarlyStt(FakeStt):
    """Is asked as each silence begins, as Whisper is."""

    info = EngineInfo(kind="stt", name="fake", version="1", capabilities=("partials", EARLY))


class FakeUtterance:
    def __init__(self, owner: FakeStt) -> None:
        self._owner = owner
        self._audio = bytearray()
        self.partial: Partial | None = None

    def ask(self) -> bool:
        self._owner.questions += 1
        return bool(self._owner.partials)

    async def answer(self) -> Partial | None:
        await trio.sleep(self._owner.answer_s)
        left = self._owner.partials
        self.partial = left.pop(0) if len(left) > 1 else left[0]
        return self.partial

    async def feed(self, pcm: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._audio += pcm

    async def finish(self) -> Transcript:
        await trio.sleep(self._owner.delay_s)
        if self._owner.error is not None:
            raise self._owner.error
        self._owner.heard.append(bytes(self._audio))
        return Transcript(text=self._owner.text, duration_s=len(self._audio) / (2 * SPEECH_HZ))


class Script:
    """An async iterator over steps."""

    def __init__(self, steps: Iterable[Any]) -> None:
        self._steps = iter(steps)

    def __aiter__(self) -> Script:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - parts of either port
        await trio.lowlevel.checkpoint()
        for step in self._steps:
            if isinstance(step, float):
                await trio.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                return step
        raise StopAsyncIteration


def says(*texts: str) -> list[Step]:
    """A reply of these deltas."""
    end = ReplyEnd(finish="stop", input_tokens=3, output_tokens=len(texts))
    return [*(TextDelta(text) for text in texts), end]


def calls(*names: str) -> list[Step]:
    """A reply that asks for these tools."""
    asked = [ToolCall(call_id=f"call_{n}", name=n, arguments="{}") for n in names]
    return [*asked, ReplyEnd(finish="tool_calls")]


class FakeLlm(Leaving):
    """Plays its scripts one after the other, and then the last one again and again."""

    info = EngineInfo(kind="llm", name="fake", version="1")

    def __init__(self, *scripts: list[Step]) -> None:
        super().__init__()
        self.scripts = list(scripts) or [says("It is noon.")]
        self.asked: list[list[Mapping[str, Any]]] = []
        self.offered: list[list[str]] = []
        self.chosen: list[ToolChoice] = []
        self.limits: list[int | None] = []
        self.asked_at: list[Priority] = []

    @asynccontextmanager
    async def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: ToolChoice = "auto",
        max_output_tokens: int | None = None,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[ReplyPart]]:
        self.asked.append(list(messages))
        self.offered.append([str(tool["name"]) for tool in tools])
        self.chosen.append(tool_choice)
        self.limits.append(max_output_tokens)
        self.asked_at.append(priority)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        async with self.entered():
            yield Script(script)


class FakeTts(Leaving):
    """Speaks for `clause_ms`, in portions of 100 ms, at `rate`; raises `error` at the end."""

    info = EngineInfo(kind="tts", name="fake", version="1")

    def __init__(
        self,
        clause_ms: int = 500,
        rate: int = WIRE_HZ,
        first_s: float = 0.05,
        error: Exception | None = None,
        portion: bytes = b"",
    ) -> None:
        super().__init__()
        self.portion = portion or bytes_for_ms(100, rate) * b"\x01"
        self.clause_ms = clause_ms
        self.rate = rate
        self.first_s = first_s
        self.error = error
        self.spoken: list[tuple[str, str, float]] = []

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[PcmChunk]]:
        self.spoken.append((text, voice, speed))
        steps: list[Any] = [self.first_s]
        steps += [PcmChunk(pcm=self.portion, sample_rate=self.rate)] * (self.clause_ms // 100)
        if self.error is not None:
            steps.append(self.error)
        async with self.entered():
            yield Script(steps)


class FakeVad(SileroVad):
    """Whatever is loud is speech."""

    def __init__(self) -> None:
        pass

    def probabilities(self, state: SileroState, samples: NDArray[np.float32]) -> list[float]:
        levels = np.sqrt(np.mean(np.square(samples.reshape(-1, CHUNK)), axis=1))
        return [0.95 if level > 0.02 else 0.02 for level in levels.tolist()]


class GetTime:
    """A tool of which nobody asks anything."""

    name = "get_time"
    description = "The time of day."
    parameters: Mapping[str, Any] = {"type": "object", "properties": {}}

    async def call(self, arguments: Mapping[str, Any], context: object) -> Mapping[str, Any]:
        raise NotImplementedError


class FakeToolbox:
    """Answers every call with its name; `broken` raises a plain bug."""

    def __init__(self) -> None:
        self.called: list[str] = []

    names = ("get_time",)

    def schemas(self) -> list[dict[str, Any]]:
        return [{"name": "get_time", "description": "", "parameters": {}}]

    @property
    def uses(self) -> tuple[ToolUse, ...]:
        return (ToolUse(GetTime(), "1"),)

    async def call(self, name: str, arguments: str, context: object) -> str:
        await trio.lowlevel.checkpoint()
        self.called.append(name)
        if name == "broken":
            raise RuntimeError("a bug in a tool")
        return json.dumps({"tool": name})


def speech(milliseconds: float) -> bytes:
    """Something loud, as PCM16 at 24 kHz."""
    t = np.arange(int(WIRE_HZ * milliseconds / 1000)) / WIRE_HZ
    return np.asarray(8000 * np.sin(2 * np.pi * 400 * t), np.int16).tobytes()


def silence(milliseconds: float) -> bytes:
    """Nothing, as PCM16 at 24 kHz."""
    return bytes(bytes_for_ms(milliseconds, WIRE_HZ))


class Talk:
    """A session with a client's two ways in and out, without a socket."""

    def __init__(self, session: Session, hub: SessionHub, history: History) -> None:
        self.session = session
        self.hub = hub
        self.history = history
        self.events: list[dict[str, Any]] = []
        self.closed: Close | None = None

    def send(self, kind: str, **fields: object) -> None:
        """What the connection does with one client event."""
        event = decode(json.dumps({"type": kind, **fields}))
        if isinstance(event, Append):
            self.session.append_audio(event)
        elif isinstance(event, Commit):
            self.session.commit_audio(event.event_id)
        elif isinstance(event, inp.CreateItem):
            self.session.create_item(event)
        else:
            self.session.apply(event)

    def type_in(self, text: str, **response: object) -> None:
        """A typed turn."""
        content = [{"type": "input_text", "text": text}]
        self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content}
        )
        self.send("response.create", **({"response": response} if response else {}))

    def announce(self, text: str, session_id: str | None = None) -> list[bool]:
        """Have the hub announce it, in this session; what becomes of it will be in the list."""
        settled: list[bool] = []
        target = self.session.id if session_id is None else session_id
        self.hub.announce(target, Notice(text, settled.append))
        return settled

    def configure(self, **session: object) -> None:
        self.send("session.update", session={"type": self.kind, **session})

    @property
    def kind(self) -> str:
        """The session's type."""
        return "realtime" if self.session.answers else "transcription"

    async def hear(self, audio: bytes, portion_ms: float = 20, form: WireFormat = PCM) -> None:
        """Feed audio at real-time pace."""
        step = form.bytes_for_ms(portion_ms)
        for start in range(0, len(audio), step):
            self.session.append_audio(Append(audio=audio[start : start + step]))
            await trio.sleep(portion_ms / 1000)

    async def next(self) -> dict[str, Any]:
        """The next server event; AssertionError where the session closes instead."""
        with trio.fail_after(CEILING_S):
            frame = await self.session.outbox.get()
        if not isinstance(frame, str):
            self.closed = frame
            raise AssertionError(f"closed: {frame}")
        event = judge(frame)
        self.events.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        """Read up to the first event of that type and return it."""
        while True:
            event = await self.next()
            if event["type"] == kind:
                return event

    async def close(self) -> Close:
        """Read up to the close."""
        while self.closed is None:
            try:
                await self.next()
            except AssertionError:
                continue
        return self.closed

    async def rest(self) -> list[dict[str, Any]]:
        """All events until nothing happens any more for ten seconds."""
        seen = []
        while True:
            with trio.move_on_after(10):
                seen.append(await self.next())
                continue
            return seen

    def types(self, *, without: str = "") -> list[str]:
        """The types seen so far, runs of the same type folded into one."""
        types = [event["type"] for event in self.events if event["type"] != without]
        return [t for i, t in enumerate(types) if i == 0 or types[i - 1] != t]

    def text(self, kind: str, field: str = "delta") -> str:
        return "".join(event[field] for event in self.events if event["type"] == kind)


def make_settings(
    change: Callable[[Settings], Settings] | None = None, **session: object
) -> Settings:
    settings = Settings()
    settings = structs.replace(settings, session=structs.replace(settings.session, **session))
    return change(settings) if change is not None else settings


@asynccontextmanager
async def talking(
    *,
    stt: FakeStt | None = None,
    llm: FakeLlm | None = None,
    tts: FakeTts | None = None,
    toolbox: FakeToolbox | None = None,
    settings: Settings | None = None,
    take_missed: Callable[[], Notice | None] = lambda: None,
    heat: Heat | None = None,
    intent: str | None = None,
    insights: Insights | None = None,
) -> AsyncIterator[Talk]:
    """A hub on fakes with one open session, which has said `session.created` already."""
    settings = settings or Settings()
    history = History(settings.session.history_items)
    tts = tts or FakeTts()
    heat = heat or Heat()
    parts = SessionParts(
        settings=settings,
        vad=FakeVad(),
        stt=stt or FakeStt(),
        speaker=Speaker(
            llm=llm or FakeLlm(),
            tts=tts,
            toolbox=cast("Toolbox", toolbox or FakeToolbox()),
            voices=Voices(settings.tts, tts),
            lead_ms=settings.session.audio_lead_ms,
            heat=heat,
            hot_tokens=settings.thermal.reply_tokens,
        ),
        history=history,
        item_audio=AudioBudget(2**28),
        take_missed=take_missed,
        insights=insights or Insights(),
        heat=heat,
    )
    hub = SessionHub(parts)
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.serve_audio)
        await nursery.start(hub.serve_sessions)
        async with hub.open_session("127.0.0.1", None, intent=intent) as session:
            talk = Talk(session, hub, history)
            assert (await talk.next())["type"] == "session.created"
            yield talk
        await trio.testing.wait_all_tasks_blocked()
        assert hub.count == 0
        assert history.items(session.id) == ()
        # the hub's own two tasks, and nothing of the session
        assert all(not task.child_nurseries[0].child_tasks for task in nursery.child_tasks)
        nursery.cancel_scope.cancel(reason="the test is over")
