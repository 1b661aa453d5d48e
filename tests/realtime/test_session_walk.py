"""Random walks through whole sessions: whatever a client does in whatever order, and engines
that fail on the way, the guarantees of the protocol hold and nothing is left behind."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

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

if TYPE_CHECKING:
    from trio.testing import MockClock

STEPS = 150
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
]


class Walker:
    """A client that does anything at all."""

    def __init__(self, talk: Talk, chance: random.Random) -> None:
        self.talk = talk
        self.chance = chance
        self.items: list[str] = ["gone"]

    async def step(self) -> None:
        chance, talk = self.chance, self.talk
        item = chance.choice(self.items)
        act = chance.randrange(14)
        if act <= 2:
            await talk.hear(speech(chance.choice([30, 300, 900])))
        elif act <= 4:
            await talk.hear(silence(chance.choice([40, 300, 1500])))
        elif act == 5:
            talk.type_in("hello", output_modalities=[chance.choice(["text", "audio"])])
        elif act == 6:
            talk.send("response.create", response={"conversation": "none"})
        elif act == 7:
            talk.send("response.cancel")
        elif act == 8:
            talk.send(f"input_audio_buffer.{chance.choice(['commit', 'clear'])}")
        elif act == 9:
            at = chance.choice([0, 100, 700, 10_000])
            talk.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=at)
        elif act == 10:
            talk.send("conversation.item.delete", item_id=item)
        elif act == 11:
            detection = {
                "type": "server_vad",
                "create_response": chance.random() < 0.8,
                "interrupt_response": chance.random() < 0.8,
            }
            talk.configure(
                audio={
                    "input": {
                        "turn_detection": detection if chance.random() < 0.7 else None,
                        "transcription": chance.choice([None, {"model": "whisper-1"}]),
                    }
                }
            )
        elif act == 12:
            talk.hub.announce(talk.session.id, "Your timer is over.")
        else:
            await trio.sleep(chance.choice([0.0, 0.01, 0.1, 1.0, 3.0]))


async def collect(talk: Talk, walker: Walker) -> None:
    while True:
        event = await talk.next()
        if event["type"] == "conversation.item.added":
            walker.items.append(event["item"]["id"])


def check_guarantees(events: list[dict[str, Any]]) -> None:
    """Those of the protocol sheet (3.3) that a client can check for itself."""
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)
    created = Counter(e["response"]["id"] for e in events if e["type"] == "response.created")
    done = Counter(e["response"]["id"] for e in events if e["type"] == "response.done")
    assert created == done
    assert not created or max(created.values()) == 1
    over: set[str] = set()
    opened: dict[str, int] = defaultdict(int)
    deltas: dict[tuple[str, str], str] = defaultdict(str)
    for event in events:
        kind, response_id = event["type"], event.get("response_id", "")
        assert response_id not in over, event
        if kind.endswith(("item.added", "part.added")) and response_id:
            opened[response_id] += 1
        elif kind.endswith(("output_item.done", "part.done")):
            opened[response_id] -= 1
        elif kind.endswith(("text.delta", "transcript.delta")):
            deltas[response_id, kind.removesuffix(".delta")] += event["delta"]
        elif kind.endswith(("text.done", "transcript.done")):
            said = event.get("text", event.get("transcript"))
            assert deltas[response_id, kind.removesuffix(".done")] == said
        elif kind == "response.done":
            assert opened[event["response"]["id"]] == 0
            over.add(event["response"]["id"])
    times = [e.get("audio_start_ms", e.get("audio_end_ms", 0)) for e in events]
    times = [at for at, e in zip(times, events, strict=True) if ".speech_" in e["type"]]
    assert times == sorted(times)


@pytest.mark.parametrize("seed", range(25))
async def test_any_walk_keeps_the_guarantees(
    seed: int, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    llm = FakeLlm(*(chance.choice(SCRIPTS) for _ in range(400)))
    tts, stt = FakeTts(clause_ms=400), FakeStt()
    async with talking(llm=llm, tts=tts, stt=stt) as talk, trio.open_nursery() as nursery:
        walker = Walker(talk, chance)
        nursery.start_soon(collect, talk, walker)
        for _ in range(STEPS):
            tts.error = CRASH if chance.random() < 0.05 else None
            stt.error = CRASH if chance.random() < 0.1 else None
            await walker.step()
        tts.error = stt.error = None
        # Everything comes to rest by itself, and then the session still works.
        talk.configure(audio={"input": {"turn_detection": None}})
        talk.send("input_audio_buffer.clear")
        await trio.sleep(120)
        check_guarantees(talk.events)
        assert llm.open == tts.open == stt.open == 0
        assert talk.session._scopes == {}
        assert talk.session.pipeline.held_bytes == 0
        llm.scripts = [says("Still here.")]
        talk.type_in("hello")
        await trio.sleep(5)
        last = [e for e in talk.events if e["type"] == "response.done"][-1]
        assert last["response"]["status"] == "completed"
        nursery.cancel_scope.cancel(reason="the test is over")
    assert "invariant broken" not in capsys.readouterr().out
