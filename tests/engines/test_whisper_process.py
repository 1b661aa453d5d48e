"""Whisper in its process, behind the daemon's port: streaming, asking, cancelling, displacing."""

from __future__ import annotations

import itertools
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.engines.host_helpers import running_host
from tests.engines.whisper_helpers import silence, sound
from tests.models.whisper_model import SENTENCE, WORD_S, write_listener
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Priority
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from voiced.engines.host import EngineHost

CHUNK = 3_200  # 0.1 s
CANCELS = 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_listener(tmp_path_factory.mktemp("whisper") / "listener")


@asynccontextmanager
async def whisper(model: Path, policy: HostPolicy | None = None) -> AsyncIterator[EngineHost]:
    spec = EngineSpec(
        kind="stt",
        name="whisper",
        target="voiced.engines.stt.whisper:WhisperEngine",
        options={
            "model": str(model),
            "language": "en",
            "compute_type": "float32",
            "threads": 1,
        },
    )
    async with running_host(spec, policy) as host:
        yield host


async def said(stt: EngineStt, pcm: bytes) -> list[str]:
    async with stt.transcribe(language="en") as utterance:
        for at in range(0, len(pcm), CHUNK):
            await utterance.feed(pcm[at : at + CHUNK])
        return (await utterance.finish()).text.split()


def fits(words: list[str], seconds: float) -> bool:
    return words == list(SENTENCE[: len(words)]) and abs(len(words) - seconds / WORD_S) <= 2


async def test_it_hears_and_tells_so_far(model: Path) -> None:
    async with whisper(model) as host:
        stt = EngineStt(host)
        assert set(stt.info.languages) == {"en", "de", "fr", "ja"}
        async with stt.transcribe(language="en", word_times=True) as utterance:
            stable = [""]
            for _ in range(3):
                await utterance.feed(sound(0.9))
                assert utterance.ask()
                partial = await utterance.answer()
                assert partial is not None
                assert partial.text.split()
                stable.append(partial.stable)
            await utterance.feed(silence(0.3))
            transcript = await utterance.finish()
        assert fits(transcript.text.split(), 2.7)
        assert [word.text for word in transcript.words] == transcript.text.split()
        assert transcript.language == "en"
        assert stable[-1]
        for before, after in itertools.pairwise([*stable, transcript.text]):
            assert after.startswith(before)


async def test_progress_of_a_long_recording_is_no_answer_to_a_question(model: Path) -> None:
    async with whisper(model) as host, EngineStt(host).transcribe(language="en") as utterance:
        partial = None
        for piece in (sound(4.0), *[silence(4.0)] * 7, sound(1.5)):
            await utterance.feed(piece)
            assert utterance.ask()
            partial = await utterance.answer()
            assert partial is not None
            assert partial.text.startswith("turn on")
        # Of both windows: what was settled, and what is still open.
        assert partial is not None
        assert partial.text.count("turn") == 2
        transcript = await utterance.finish()
    assert transcript.text == partial.text
    assert len(transcript.segments) == 2


async def test_an_unknown_language_fails_the_request_alone(model: Path) -> None:
    async with whisper(model) as host:
        stt = EngineStt(host)
        async with stt.transcribe(language="xx") as utterance:
            await utterance.feed(sound(1.0))
            with pytest.raises(EngineFailed, match="'xx'"):
                await utterance.finish()
        assert fits(await said(stt, sound(1.5)), 1.5)
        assert host.restarts == 0


async def test_cancelled_at_any_moment_it_answers_the_next_one(model: Path) -> None:
    """Each cancelled utterance is followed by a whole one, in the same process, whose answer
    has nothing of the one before: that has another length, and the text tells the length."""
    chance = random.Random(11)
    # Never killed for being slow: whether it acknowledges at all is what is tested.
    async with whisper(model, HostPolicy(grace_s=60.0)) as host:
        stt = EngineStt(host)
        pid = host.pid
        for number in range(CANCELS):
            with trio.move_on_after(chance.uniform(0.0, 0.06)):
                async with stt.transcribe(language="en") as utterance:
                    for _ in range(3):
                        await utterance.feed(sound(1.2))
                        utterance.ask()
                        await trio.lowlevel.checkpoint()
                    await utterance.finish()
            if number % 4 == 0:
                assert fits(await said(stt, sound(1.5)), 1.5)
        assert fits(await said(stt, sound(2.4)), 2.4)
        assert (host.pid, host.restarts) == (pid, 0)


async def test_a_recording_gives_way_to_a_conversation(model: Path) -> None:
    async with whisper(model) as host:
        stt = EngineStt(host)
        texts: dict[str, list[str]] = {}

        async def record() -> None:
            async with stt.transcribe(language="en", priority=Priority.JOB) as utterance:
                for _ in range(4):
                    await utterance.feed(sound(2.4))
                    await utterance.feed(silence(26.0))
                texts["job"] = (await utterance.finish()).text.split()

        async def talk() -> None:
            texts["talk"] = await said(stt, sound(1.5))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(record)
            nursery.start_soon(talk)
        assert fits(texts["talk"], 1.5)
        assert texts["job"].count("lamp") == 4
        assert host.restarts == 0
