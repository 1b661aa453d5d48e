"""A whole turn, from the acoustic end of speech to the first audio at the client, against the naive
use of the same models.

Ours is the daemon as it runs by default, spoken to in real time over its WebSocket: what it does
while the user speaks and in the silence that ends a turn is done then. Only the assistant's fast
path is off, no tools are offered (the naive user has none), and the model takes the likeliest
token. A turn is the next one of a conversation; some 400 tokens were said before the first. The
naive user transcribes when all is said, gives the model a prompt with a clock at its head, waits
for the first sentence of the answer and has that spoken. Noticing the end, and the way to a client,
cost it nothing.

Three comparisons, each with its definition in the report:

- `felt` is what a person waits: from the end of the last sound of speech to the first audio. The
  silence that ends a turn is in it on both sides, the same length added to the naive user's time.
- `added` is the same turns without that silence, on either side: it is waited, and no work of the
  models. What is left of ours may be less than its engines took, since they work in that silence.
  The goals are for this one.
- `engines` is our engines without the daemon, one after the other: see `engines_turn`. No goal.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import msgspec

from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.audio.resample import resample_whole
from voiced.bench.busy import settings_for
from voiced.bench.daemon import open_daemon
from voiced.bench.engines_turn import Chosen, compare_engines
from voiced.bench.pairs import WHOLE, Comparison, compared, take_pairs
from voiced.bench.rival import open_rival
from voiced.bench.turn_sides import SILENCE, TURNS_EACH, Naive, Spoken, Words
from voiced.client.microphone import INPUT_RATE_HZ
from voiced.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voiced.bench.clip import Clip
    from voiced.bench.engines import Effort
    from voiced.bench.engines_turn import Given
    from voiced.bench.hosts import Models

GOALS: Final = {"tiny": 10.0, "base": 7.0}
"""How many times sooner `added` should be over, by what the name of the Whisper model has in it."""

SENTENCE: Final = "please tell me how the weather is going to be this afternoon"
"""What is said, where no recording is given: without a pause, some three seconds long."""

CLOCKED: Final = (
    "a clock at the head of the naive prompt has all of it read anew each turn (without one the "
    "library keeps what it has read, which bench engines shows)"
)

DEFINITIONS: Final = {
    "felt": (
        "from the acoustic end of speech to the first audio at the client, the silence that ends a "
        "turn included on both sides; naively as many ms are added for it, and nothing for "
        f"noticing; {CLOCKED}"
    ),
    "added": (
        "the same turns without that silence on either side, since it is waited and no work of the "
        "models; ours works in it, so this is less than its engines took. The goals are for this"
    ),
    "engines": (
        "our engines without the daemon, one after the other, nothing begun before the turn is "
        "over but reading what was said before; so many tokens and words on both sides; "
        f"{CLOCKED}. No goal"
    ),
}


class TurnSetting(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides are given."""

    speech_s: float
    silence_ms: float
    history_tokens: int
    turns_each: int = TURNS_EACH
    clause: str
    clause_tokens: int
    sentence: str
    sentence_tokens: int


class WholeTurnReport(msgspec.Struct, frozen=True, kw_only=True):
    """Turns with these models; see `DEFINITIONS`. Where the `words` of the last turn differ, so
    does the work that they took."""

    whisper: str
    llama: str
    piper: str
    setting: TurnSetting
    felt: Comparison
    added: Comparison
    engines: Comparison
    words: Words
    words_naively: Words
    definitions: dict[str, str] = msgspec.field(default_factory=DEFINITIONS.copy)

    @property
    def missed(self) -> list[str]:
        """The goal, where it was missed."""
        missed = self.added.missed
        return [f"{self.whisper}, {missed}"] if missed else []


async def measure_whole_turns(
    models: Models,
    clip: Clip,
    effort: Effort,
    tell: Callable[[str], None] = lambda _text: None,
) -> list[WholeTurnReport]:
    """Turns with each Whisper model there is, and the first of the other models; no cancels are
    made. Raises `UsageError` where a model is missing, `EngineError`, `StartupError`, and
    `ClientError` where the daemon does not answer aloud."""
    for kind in ("whisper", "llama", "piper"):
        if not getattr(models, kind):
            raise UsageError(f"{models.directory} holds no {kind} model, which a turn needs")
    return [
        await _measure(
            models,
            Chosen(whisper=folder, llama=models.llama[0], piper=models.piper[0]),
            clip,
            effort,
            tell,
        )
        for folder in models.whisper
    ]


async def _measure(
    models: Models, chosen: Chosen, clip: Clip, effort: Effort, tell: Callable[[str], None]
) -> WholeTurnReport:
    name = chosen.whisper.name

    def told(doing: str) -> None:
        tell(f"{name}: {doing}")

    told("loading")
    speech = spoken_part(clip)
    paths = {kind: str(path) for kind, path in msgspec.structs.asdict(chosen).items()}
    async with open_rival(threads=effort.threads, **paths) as rival:
        given, engines = await compare_engines(models, chosen, rival, speech, effort, told)
        async with (
            open_daemon(daemon_settings(models, chosen, effort.threads)) as daemon,
            AsyncExitStack() as conversation,
        ):
            spoken = Spoken(daemon, clip, given.history, conversation)
            naive = Naive(rival, speech, spoken)
            pairs = effort.pairs
            ours, theirs = await take_pairs(
                "turns", spoken.turn, naive.turn, pairs=pairs, tell=told
            )
    goal = next((goal for part, goal in GOALS.items() if part in name), None)
    whole = "end of speech to first audio"
    return WholeTurnReport(
        whisper=name,
        llama=chosen.llama.stem,
        piper=chosen.piper.stem,
        setting=_setting(given, clip, spoken.silence_ms),
        felt=compared(f"{whole}, with the silence", ours, with_silence(theirs, spoken.silence_ms)),
        added=compared(f"{whole}, without it", without_silence(ours), theirs, goal=goal),
        engines=engines,
        words=spoken.words[-1],
        words_naively=naive.words,
    )


def daemon_settings(models: Models, chosen: Chosen, threads: int = 0) -> dict[str, str]:
    """The daemon with these models, which says the same each time; `threads` 0 is what it takes by
    itself."""
    settings = settings_for(models, chosen.whisper, chosen.llama, chosen.piper)
    settings["VOICED_LLM__TEMPERATURE"] = "0.0"
    if threads:
        settings |= {
            "VOICED_STT__THREADS": str(threads),
            "VOICED_LLM__THREADS": str(threads),
            "VOICED_LLM__THREADS_BATCH": str(threads),
            "VOICED_TTS__OPTIONS": f"{{ threads = {threads} }}",
        }
    return settings


def spoken_part(clip: Clip) -> bytes:
    """The clip up to the end of its speech, as engines hear it: PCM16 mono at 16 kHz."""
    pcm = clip.pcm[: round(clip.end_s * INPUT_RATE_HZ) * SAMPLE_BYTES]
    return resample_whole(pcm, INPUT_RATE_HZ, SPEECH_HZ)


def with_silence(turns: Sequence[Mapping[str, float]], silence_ms: float) -> list[dict[str, float]]:
    """The naive user's turns, had they waited for the silence too."""
    return [{SILENCE: silence_ms, **turn, WHOLE: silence_ms + turn[WHOLE]} for turn in turns]


def without_silence(turns: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Our turns but for the silence."""
    return [
        {
            **{stage: took for stage, took in turn.items() if stage != SILENCE},
            WHOLE: turn[WHOLE] - turn[SILENCE],
        }
        for turn in turns
    ]


def _setting(given: Given, clip: Clip, silence_ms: float) -> TurnSetting:
    return TurnSetting(
        speech_s=clip.end_s - clip.onset_s,
        silence_ms=silence_ms,
        history_tokens=given.history_tokens,
        clause=given.clause,
        clause_tokens=given.clause_tokens,
        sentence=given.sentence,
        sentence_tokens=given.sentence_tokens,
    )
