"""The two sides of a whole turn: somebody who speaks with the daemon, and the naive user."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from voiced.bench.engines_llm import clocked
from voiced.bench.naive import Asked
from voiced.bench.pairs import WHOLE
from voiced.bench.turn import TURN_S, read_turn, silence_of, vary_start
from voiced.client.connection import open_client
from voiced.client.exchange import SPOKEN_SESSION
from voiced.client.turn import run_spoken_turn
from voiced.errors import ClientError

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from voiced.bench.clip import Clip
    from voiced.bench.daemon import Daemon
    from voiced.bench.engines_llm import Messages
    from voiced.bench.rival import Rival
    from voiced.bench.turn import TurnFigures
    from voiced.client.connection import RealtimeClient

SILENCE: Final = "silence"

STAGES: Final = {
    "vad": "noticing the end",
    "stt": "stt",
    "assistant": "llm",
    "tts": "tts",
    "server": "rest of the first clause",
    "transport": "transport",
}
"""Those of `turn.STAGES` by what they are called beside the naive user's. What passes in the daemon
between its engines is nearly all the language model's: it writes a clause to its end."""

TURNS_EACH: Final = 4
"""Turns of a conversation, after which another one begins: how long it is decides the figures."""

REPLY_TOKENS: Final = 64
FRAME_MS: Final = 20

REST_S: Final = 1.0
"""After a turn of ours: the daemon reads what it said itself, and that is not to fall on the naive
user's time."""


class Words(msgspec.Struct, frozen=True):
    """What one side understood, and what it said."""

    heard: str
    said: str


class Spoken:
    """Speaks with the daemon, turn after turn; every `TURNS_EACH` in a conversation that is begun
    with `history`. What is open then is left to `stack`."""

    def __init__(
        self, daemon: Daemon, clip: Clip, history: Messages, stack: AsyncExitStack
    ) -> None:
        self._daemon = daemon
        self._clip = clip
        self._history = history
        self._stack = stack
        self._client: RealtimeClient | None = None
        self.words: list[Words] = []
        """Of each turn so far."""
        self.silence_ms = 0.0

    async def turn(self) -> dict[str, float]:
        """Take one; milliseconds by stage, the silence among them. Raises `ClientError`."""
        number = len(self.words)
        if self._client is None or number % TURNS_EACH == 0:
            self._client = await self._begin()
        microphone = vary_start(self._clip, number).microphone(FRAME_MS)
        with trio.move_on_after(TURN_S) as scope:
            turn = await run_spoken_turn(self._client, microphone)
        if scope.cancelled_caught:
            raise ClientError(f"a turn took longer than {TURN_S:g} s")
        figures = read_turn(turn, self.silence_ms, microphone.latest_s * 1000)
        self.words.append(Words(turn.transcript, turn.reply))
        await trio.sleep(REST_S)
        return staged(figures)

    async def _begin(self) -> RealtimeClient:
        """Another conversation, in which so much was said."""
        await self._stack.aclose()
        opened = open_client(self._daemon.url, self._daemon.token)
        client = await self._stack.enter_async_context(opened)
        system, *said = self._history
        await client.configure(
            {
                **SPOKEN_SESSION,
                "instructions": system["content"],
                "max_output_tokens": REPLY_TOKENS,
                "tool_choice": "none",
            }
        )
        for message in said:
            await client.send({"type": "conversation.item.create", "item": item_of(message)})
            await client.wait_for("conversation.item.done")
        self.silence_ms = silence_of(client.session)
        return client

    def said_before(self, number: int) -> Messages:
        """What was said in its conversation before the turn of that number."""
        messages = list(self._history)
        for words in self.words[number - number % TURNS_EACH : number]:
            messages.append({"role": "user", "content": words.heard})
            messages.append({"role": "assistant", "content": words.said})
        return messages


def item_of(message: dict[str, Any]) -> dict[str, Any]:
    """A message as the protocol has it."""
    kind = "output_text" if message["role"] == "assistant" else "input_text"
    content = [{"type": kind, "text": message["content"]}]
    return {"type": "message", "role": message["role"], "content": content}


def staged(figures: TurnFigures) -> dict[str, float]:
    """A turn's stages, the silence apart from the rest of the time until it was noticed. That rest
    may be less than nothing: the detector takes the sound for over a little before the clip does.
    """
    told = {name: figures.stages[stage] for stage, name in STAGES.items() if figures.stages}
    if told:
        told[STAGES["vad"]] -= figures.silence_ms
    return {SILENCE: figures.silence_ms, **told, WHOLE: figures.first_audio_ms}


class Naive:
    """Takes the same turns naively. `speech` is PCM16 mono at 16 kHz."""

    def __init__(self, rival: Rival, speech: bytes, spoken: Spoken) -> None:
        self._rival = rival
        self._speech = speech
        self._spoken = spoken
        self._numbers = count()
        self.words = Words("", "")
        """Of the last turn."""

    async def turn(self) -> dict[str, float]:
        """Take one; milliseconds by stage. Raises `EngineFailed`."""
        number = next(self._numbers)
        spent = await self._rival.ask(
            Asked(
                op="turn",
                pcm=self._speech,
                messages=clocked(self._spoken.said_before(number), number),
                tokens=REPLY_TOKENS,
            )
        )
        self.words = Words(spent.heard, spent.said)
        return spent.ms
