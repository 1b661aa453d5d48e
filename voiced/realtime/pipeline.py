"""The audio pipeline of one session: audio in, turn detection, speech recognition.

The connection feeds raw audio; a task of its own resamples it, asks Silero, and tells the
session when speech starts and stops. While someone speaks the recogniser already listens, at
low priority, so that the text is there when the turn ends.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np
import structlog
import trio

from voiced.audio.formats import WireFormat, wire_format
from voiced.audio.resample import CHUNK
from voiced.conversation import inputs as inp
from voiced.realtime.buffer import InputBuffer
from voiced.realtime.detections import hearing_of
from voiced.realtime.interim import Interim
from voiced.realtime.recognitions import Recognitions
from voiced.turns.detector import SAMPLES_PER_MS, Started, TurnDetector
from voiced.turns.silero import SileroState

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from voiced.conversation.config import AnySessionConfig
    from voiced.conversation.detection import TurnDetection
    from voiced.engines.ports import Stt
    from voiced.settings import TurnDetection as TurnSettings
    from voiced.turns.silero import SileroVad

log = structlog.get_logger(__name__)

CHUNKS_A_SLICE = 8
"""Chunks processed between two checkpoints: about 0.5 ms, so that a flood of audio in one
session does not hold up the others."""


class AudioPipeline:
    """Owns the input buffer of one session. `run` is its one task; the rest never waits.

    What is fed is kept as it came until it is claimed; with turn detection, only as much from
    before speech as its padding. The buffer is bounded by `most_buffered_s`: the oldest audio is
    dropped and counted.
    """

    def __init__(
        self,
        *,
        vad: SileroVad,
        stt: Stt,
        apply: Callable[[inp.Input], None],
        language: str,
        acoustic_end: bool,
        most_buffered_s: float,
        turns: TurnSettings,
        speculates: bool = False,
        read_along: Callable[[str], None] | None = None,
    ) -> None:
        """`speculates`: a recogniser that is done sooner for it is asked as a silence begins.
        `read_along` is told what was said so far, whenever that is known; with it, such a
        recogniser is asked while somebody speaks on, too."""
        self._vad = vad
        self._speculates = speculates
        self._cool = True
        self._words = Recognitions(stt, language)
        self._apply = apply
        self._read_along = read_along
        self._default_language = language
        self._buffer = InputBuffer(most_buffered_s)
        self._next_form: WireFormat = self._buffer.form
        self._detector = TurnDetector(acoustic_end=acoustic_end)
        self._detector.require(turns.min_speech_ms)
        self._silero = SileroState()
        self._detection: TurnDetection | None = None
        self._interim = Interim(self, self._words, self._detector, turns)
        self._turns = turns
        self._padding_ms = turns.prefix_padding_ms
        self._listens_early = False
        self._turn_is_over = False
        #: What lies between the end of speech and that of the turn, while it is being ended.
        self.silence_s = 0.0
        self._stopped_ms = 0
        self._wake = trio.Event()

    # -- called by the session and the connection, never waiting ---------------------------

    def configure(self, config: AnySessionConfig) -> None:
        """Follow the session's configuration from the next sample on."""
        audio = config.audio.input
        detection = audio.turn_detection
        if detection is None and self._detection is not None:
            self.drop()
        self._detection = detection
        self._next_form = wire_format(audio.format)
        self._change_format()
        wants_text = audio.transcription is not None
        self._listens_early = detection is not None and (detection.create_response or wants_text)
        asked = audio.transcription
        self._words.language = (asked and asked.language) or self._default_language
        self._words.prompt = (asked and asked.prompt) or ""
        if detection is not None:
            self._follow(detection)
            self._wake.set()

    def _follow(self, detection: TurnDetection) -> None:
        """Set the detector to a session's wishes; the settings fill in what it cannot say."""
        early = self._speculates and self._cool and self._words.answers_early
        along = self._read_along is not None and self._cool and self._words.answers_early
        language = self._words.language
        hearing = hearing_of(detection, self._turns, language, early=early, along=along)
        self._detector.threshold = hearing.threshold
        self._padding_ms = hearing.padding_ms
        wants_words = hearing.manner.eagerness is not None or self._turns.resume_s > 0
        self._listens_early = self._listens_early or wants_words
        self._interim.adopt(hearing.manner)

    def speculate(self, cool: bool) -> None:
        """Work in advance, as the settings have it, or stop doing so; see
        `Interim.allow_guesses`. A recogniser is not asked any more as a silence begins."""
        if cool is self._cool:
            return
        self._cool = cool
        self._interim.allow_guesses(cool)
        if self._detection is not None:
            self._follow(self._detection)

    def feed(self, audio: bytes) -> None:
        """Add audio as it came: whole samples in the format of `form`."""
        self._detector.skip(self._buffer.feed(audio))
        if self._detection is None:
            return
        pending = len(self._buffer.pending)
        if pending >= self._buffer.step_bytes or self._detector.deadline is not None:
            self._wake.set()

    @property
    def form(self) -> WireFormat:
        """The format of what is fed now. A change of the session's waits for the turn's end."""
        return self._buffer.form

    @property
    def next_form(self) -> WireFormat:
        """The format that the session's configuration names."""
        return self._next_form

    @property
    def dropped_bytes(self) -> int:
        """Audio that was lost since there was too much of it."""
        return self._buffer.dropped_bytes

    @property
    def withheld_guesses(self) -> int:
        """See `Interim.withheld_guesses`."""
        return self._interim.withheld_guesses

    @property
    def position_ms(self) -> int:
        """How much audio came in since the first, by the clock of `speech_started`."""
        return (self._detector.position + self._buffer.pending_samples) // SAMPLES_PER_MS

    def end_silence(self) -> int:
        """`position_ms`, as the end of a turn in which nobody spoke: no other begins before it."""
        self._stopped_ms = max(self._stopped_ms, self.position_ms)
        return self._stopped_ms

    @property
    def buffered_ms(self) -> float:
        """Audio that a commit would take."""
        return self._buffer.size_ms

    @property
    def held_bytes(self) -> int:
        """Audio in memory for this session, what the recogniser keeps of an utterance included."""
        return self._buffer.size_bytes + self._words.held_bytes

    def claim(self, item_id: str, *, transcribe: bool = True) -> tuple[bytes, WireFormat]:
        """Everything buffered is the audio of `item_id`: transcribe it, if that is wanted.

        Returns it, as it came.
        """
        # After the end of a turn, what is not analysed yet belongs to what comes next.
        whole = not self._turn_is_over
        audio, form = self._buffer.join(pending=whole), self.form
        if not transcribe:
            self._words.drop("no transcript is wanted")
        else:
            tail = bytes(self._buffer.pending) if whole else b""
            if not self._words.claim(item_id, tail, form, by_silence=not whole):
                self.transcribe(item_id, audio, form)
        if whole:
            self._forget_speech()
        else:
            self._buffer.clear(pending=False)
            self._change_format()
        return audio, form

    def transcribe(self, item_id: str, audio: bytes, form: WireFormat) -> None:
        """All of the audio of `item_id` in one piece: put it into words."""
        self._words.take(item_id, audio, form)
        self._wake.set()

    def drop(self) -> None:
        """Forget the buffer, and the speech in it."""
        self._words.drop("input audio buffer cleared")
        self._forget_speech()

    def _forget_speech(self) -> None:
        self._detector.skip(self._buffer.pending_samples)
        self._detector.reset()
        self._silero.reset()
        self._buffer.clear(pending=True)
        self._change_format()

    def _change_format(self) -> None:
        """Take up the session's format where nothing of a turn is in the buffer."""
        if self._next_form is self.form:
            return
        in_turn = self._buffer.size_bytes if self._detection is None else self._detector.speaking
        if not in_turn:
            self._detector.skip(self._buffer.pending_samples)
            self._silero.reset()
            self._buffer.use(self._next_form)

    def hold(self) -> None:
        """What sounds now holds up a reply; see `Interim.hold`. Called while `SpeechStarted` is
        taken in, or not at all."""
        self._interim.hold()
        self.look_again()

    def release(self) -> None:
        """It has been decided; what still sounds is speech like any other."""
        self._interim.release()

    def close(self) -> None:
        """The session is over: tell it nothing more, and let go of it, so that both are freed."""
        self._apply = ignore
        self._read_along = None
        self._interim.close()

    # -- the task --------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the audio until cancelled; recognitions under way are cancelled with it."""
        async with trio.open_nursery() as nursery:
            while True:
                self._words.start(nursery, self.tell)
                if self._detection is not None and self._analyse():
                    await trio.lowlevel.checkpoint()
                    continue
                hold_until = self._interim.hold_until
                if hold_until == inf:  # most of the time; a scope is half a KiB
                    await self._wake.wait()
                else:
                    with trio.CancelScope(deadline=hold_until):
                        await self._wake.wait()
                    if trio.current_time() >= self._interim.hold_until:
                        self.dismiss()
                self._wake = trio.Event()

    def _analyse(self) -> bool:
        """Take one slice of what is raw; false when there is less than a chunk."""
        samples, raw = self._buffer.take(CHUNKS_A_SLICE)
        if not samples.size:
            self._end_early()
            return False
        scaled = samples.astype(np.float32)
        scaled *= 1 / 32768
        size, form = self._buffer.step_bytes, self.form
        for index, probability in enumerate(self._vad.probabilities(self._silero, scaled)):
            self._buffer.keep(raw[index * size : (index + 1) * size])
            chunk = slice(index * CHUNK, (index + 1) * CHUNK)
            self._take_chunk(samples[chunk], scaled[chunk], probability)
            if self.form is not form:
                # A turn ended, and with it the use of the format that the rest is in.
                self._detector.skip(len(samples) - chunk.stop)
                break
        return True

    def _take_chunk(
        self, samples: NDArray[np.int16], scaled: NDArray[np.float32], probability: float
    ) -> None:
        if self._words.current is not None:
            self._words.current.add(samples.tobytes())
        elif not self._detector.speaking:
            self._trim_to_padding()
        change = self._detector.push(probability, scaled)
        self._interim.attend()
        if change is None:
            self._interim.foresee()
        if isinstance(change, Started):
            self._start_speech(change, samples)
        elif change is not None:
            self._stop_speech(change.sample, change.speech_end)
        elif self._detector.speaking and self._buffer.is_overfull:
            log.info("turn ended at its longest", limit_ms=round(self.buffered_ms))
            self._detector.reset()
            self._stop_speech(self._detector.position, self._detector.position)

    def dismiss(self) -> None:
        """Forget the sound that held up a reply, and let that go on."""
        self._words.drop("it was no interruption")
        self._detector.reset()
        self._buffer.trim(self._padding_ms)
        self._apply(inp.SpeechDismissed())

    def _start_speech(self, started: Started, last_chunk: NDArray[np.int16]) -> None:
        assert self._detection is not None
        padding = self._padding_ms * SAMPLES_PER_MS
        wanted = self._detector.position - max(0, started.sample - padding)
        self._buffer.keep_last(wanted)
        start = self._detector.position - self._buffer.heard_samples
        self._interim.begin(started.sample)
        if self._listens_early:
            speech = self._buffer.as_speech(last_chunk)
            self._words.begin(speech, keeps=self._interim.guesses)
        # Speech that goes on within its own padding must not begin before the last turn's end.
        self._apply(inp.SpeechStarted(max(start // SAMPLES_PER_MS, self._stopped_ms)))

    def _stop_speech(self, sample: int, speech_end: int) -> None:
        """Silence, or the bound, ended the turn, and not the client."""
        if self._interim.held:
            self.dismiss()
            return
        self._stopped_ms = sample // SAMPLES_PER_MS
        self.silence_s = (sample - speech_end) / SAMPLES_PER_MS / 1000
        self._turn_is_over = True
        self._apply(inp.SpeechStopped(self._stopped_ms))
        self._turn_is_over = False
        self.silence_s = 0.0

    def _trim_to_padding(self) -> None:
        assert self._detection is not None
        # By the time that speech is noticed the padding is older by what it takes.
        self._buffer.trim(self._padding_ms + self._detector.onset_chunks * CHUNK / SAMPLES_PER_MS)

    def _end_early(self) -> None:
        """Spare the wait for a whole chunk when the silence window ends inside one."""
        deadline = self._detector.deadline
        ahead = self._buffer.pending_samples
        if deadline is None or not ahead:
            return
        if self._detector.position + ahead < deadline:
            return
        tail = self.form.decode(bytes(self._buffer.pending)).astype(np.float32)
        level = float(np.sqrt(np.mean(np.square(tail)))) / 32768
        stopped = self._detector.quiet(ahead, level)
        if stopped is not None:
            self._stop_speech(stopped.sample, stopped.speech_end)

    def tell(self, event: inp.Input) -> None:
        """Pass it on to the session, while there is one."""
        self._apply(event)

    def look_again(self) -> None:
        """Have the task see whether the turn is over by now."""
        self._wake.set()

    def read_along(self, words: str) -> None:
        """Pass on what was said so far."""
        if self._read_along is not None:
            self._read_along(words)


def ignore(told: object) -> None:
    """What becomes of what is told once the session is over."""
