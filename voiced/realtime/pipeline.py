"""The audio pipeline of one session: audio in, turn detection, speech recognition.

The connection feeds raw audio; a task of its own resamples it, asks Silero, and tells the
session when speech starts and stops. While someone speaks the recogniser already listens, at
low priority, so that the text is there when the turn ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import structlog
import trio

from voiced.audio.chunks import ChunkBuffer
from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ, WIRE_HZ, bytes_for_ms, duration_ms
from voiced.audio.resample import CHUNK, ChunkResampler
from voiced.conversation import inputs as inp
from voiced.conversation.detection import ServerVad
from voiced.realtime.listening import Listening, recognise
from voiced.turns.detector import SAMPLES_PER_MS, Started, TurnDetector
from voiced.turns.judgement import Verdict, silence_ms
from voiced.turns.silero import SileroState

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from voiced.conversation.config import SessionConfig
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

    What is fed is kept as raw 24 kHz audio until it is analysed, then at 16 kHz until it is
    claimed. Without turn detection it just stays raw. The buffer is bounded by
    `most_buffered_s`: the oldest audio is dropped and counted.
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
    ) -> None:
        self._vad = vad
        self._stt = stt
        self._apply = apply
        self._default_language = self._language = language
        self._most_bytes = int(most_buffered_s * WIRE_HZ) * SAMPLE_BYTES
        self._detector = TurnDetector(acoustic_end=acoustic_end)
        self._resampler = ChunkResampler()
        self._silero = SileroState()
        self._raw = bytearray()
        self._speech = ChunkBuffer()
        self._detection: TurnDetection | None = None
        self._turns = turns
        self._padding_ms = turns.prefix_padding_ms
        self._listens_early = False
        self._prompt = ""
        self._listening: Listening | None = None
        self._turn_is_over = False
        self._stopped_ms = 0
        self._opened: list[Listening] = []
        self._claimed: list[Listening] = []
        self._wake = trio.Event()
        self.dropped_bytes = 0

    # -- called by the session and the connection, never waiting ---------------------------

    def configure(self, config: SessionConfig) -> None:
        """Follow the session's configuration from the next sample on."""
        audio = config.audio.input
        detection = audio.turn_detection
        if detection is None and self._detection is not None:
            self.drop()
        self._detection = detection
        wants_text = audio.transcription is not None
        self._listens_early = detection is not None and (detection.create_response or wants_text)
        asked = audio.transcription
        self._language = (asked and asked.language) or self._default_language
        self._prompt = (asked and asked.prompt) or ""
        if detection is not None:
            self._follow(detection)
            self._wake.set()

    def _follow(self, detection: TurnDetection) -> None:
        """Set the detector to a session's wishes; the settings fill in what it cannot say."""
        own = self._turns
        if isinstance(detection, ServerVad):
            self._detector.threshold = detection.threshold
            self._padding_ms = detection.prefix_padding_ms
            silence = detection.silence_duration_ms
        else:
            self._detector.threshold = own.threshold
            self._padding_ms = own.prefix_padding_ms
            silence = silence_ms(Verdict.UNCLEAR, detection.eagerness, own.semantic_silence_ms)
        self._detector.silence_samples = silence * SAMPLES_PER_MS

    def feed(self, pcm: bytes) -> None:
        """Add audio as it came: PCM16 mono at 24 kHz."""
        self._raw += pcm
        surplus = len(self._raw) - self._most_bytes
        if surplus > 0:
            self.dropped_bytes += surplus
            self._detector.skip(surplus // SAMPLE_BYTES * SPEECH_HZ // WIRE_HZ)
            del self._raw[:surplus]
        if self._detection is None:
            return
        if len(self._raw) >= self._resampler.step_bytes or self._detector.deadline is not None:
            self._wake.set()

    @property
    def buffered_ms(self) -> float:
        """Audio that a commit would take."""
        heard_bytes = len(self._speech)
        if self._listening is not None:
            heard_bytes += self._listening.bytes_fed
        return duration_ms(len(self._raw), WIRE_HZ) + duration_ms(heard_bytes, SPEECH_HZ)

    @property
    def held_bytes(self) -> int:
        """Audio in memory for this session, what the recogniser keeps of an utterance included."""
        heard = 0 if self._listening is None else self._listening.bytes_fed
        claimed = sum(listening.bytes_fed + len(listening.raw) for listening in self._claimed)
        return len(self._raw) + len(self._speech) + heard + claimed

    def claim(self, item_id: str) -> None:
        """Everything buffered is the audio of `item_id`: transcribe it."""
        raw = bytes(self._raw)
        listening = self._listening
        if listening is None:
            listening = Listening()
            if self._speech:
                listening.add(self._speech.join())
            self._open(listening)
        self._listening = None
        self._claimed.append(listening)
        if self._turn_is_over:
            # What is still raw belongs to what comes next.
            listening.finish(item_id, b"")
            self._speech.clear()
        else:
            listening.finish(item_id, raw)
            self._forget_speech()

    def drop(self) -> None:
        """Forget the buffer, and the speech in it."""
        if self._listening is not None:
            self._listening.scope.cancel(reason="input audio buffer cleared")
            self._listening = None
        self._forget_speech()

    def _forget_speech(self) -> None:
        self._detector.skip(len(self._raw) // SAMPLE_BYTES * SPEECH_HZ // WIRE_HZ)
        self._detector.reset()
        self._resampler.reset()
        self._silero.reset()
        self._raw.clear()
        self._speech.clear()

    def _open(self, listening: Listening) -> None:
        self._opened.append(listening)
        self._wake.set()

    def close(self) -> None:
        """The session is over: tell it nothing more, and let go of it, so that both are freed."""
        self._apply = ignore

    # -- the task --------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the audio until cancelled; recognitions under way are cancelled with it."""
        async with trio.open_nursery() as nursery:
            while True:
                while self._opened:
                    nursery.start_soon(self._transcribe, self._opened.pop(0))
                if self._detection is not None and self._analyse():
                    await trio.lowlevel.checkpoint()
                    continue
                await self._wake.wait()
                self._wake = trio.Event()

    def _analyse(self) -> bool:
        """Take one slice of what is raw; false when there is less than a chunk."""
        samples, _ = self._resampler.chunks(self._raw, CHUNKS_A_SLICE)
        if not samples.size:
            self._end_early()
            return bool(self._opened)
        scaled = samples.astype(np.float32)
        scaled *= 1 / 32768
        for index, probability in enumerate(self._vad.probabilities(self._silero, scaled)):
            chunk = slice(index * CHUNK, (index + 1) * CHUNK)
            self._take_chunk(samples[chunk], scaled[chunk], probability)
        return True

    def _take_chunk(
        self, samples: NDArray[np.int16], scaled: NDArray[np.float32], probability: float
    ) -> None:
        pcm = samples.tobytes()
        if self._listening is not None:
            self._listening.add(pcm)
        else:
            self._speech.append(pcm)
            if not self._detector.speaking:
                self._trim_to_padding()
        change = self._detector.push(probability, scaled)
        if isinstance(change, Started):
            self._start_speech(change)
        elif change is not None:
            self._stop_speech(change.sample)
        elif self._detector.speaking and self._speech_is_too_long():
            log.info("turn ended at its longest", limit_bytes=self._most_bytes)
            self._detector.reset()
            self._stop_speech(self._detector.position)

    def _start_speech(self, started: Started) -> None:
        assert self._detection is not None
        padding = self._padding_ms * SAMPLES_PER_MS
        wanted = self._detector.position - max(0, started.sample - padding)
        self._speech.keep_last(wanted * SAMPLE_BYTES)
        start = self._detector.position - len(self._speech) // SAMPLE_BYTES
        if self._listens_early:
            self._listening = Listening()
            self._listening.add(self._speech.join())
            self._speech.clear()
            self._open(self._listening)
        # Speech that goes on within its own padding must not begin before the last turn's end.
        self._apply(inp.SpeechStarted(max(start // SAMPLES_PER_MS, self._stopped_ms)))

    def _stop_speech(self, sample: int) -> None:
        """Silence, or the bound, ended the turn, and not the client."""
        self._stopped_ms = sample // SAMPLES_PER_MS
        self._turn_is_over = True
        self._apply(inp.SpeechStopped(self._stopped_ms))
        self._turn_is_over = False

    def _trim_to_padding(self) -> None:
        assert self._detection is not None
        # Two chunks above the threshold make speech: by then the padding is that much older.
        padding = bytes_for_ms(self._padding_ms, SPEECH_HZ)
        self._speech.trim(padding + 2 * CHUNK * SAMPLE_BYTES)

    def _speech_is_too_long(self) -> bool:
        held = len(self._speech) if self._listening is None else self._listening.bytes_fed
        return held > self._most_bytes * SPEECH_HZ // WIRE_HZ

    def _end_early(self) -> None:
        """Spare the wait for a whole chunk when the silence window ends inside one."""
        deadline = self._detector.deadline
        if deadline is None or not self._raw:
            return
        ahead = len(self._raw) // SAMPLE_BYTES * SPEECH_HZ // WIRE_HZ
        if self._detector.position + ahead < deadline:
            return
        tail = np.frombuffer(bytes(self._raw), "<i2").astype(np.float32)
        level = float(np.sqrt(np.mean(np.square(tail)))) / 32768
        stopped = self._detector.quiet(ahead, level)
        if stopped is not None:
            self._stop_speech(stopped.sample)

    async def _transcribe(self, listening: Listening) -> None:
        try:
            result = await recognise(listening, self._stt, self._language, self._prompt)
        finally:
            if listening in self._claimed:
                self._claimed.remove(listening)
        if result is not None:
            self._apply(result)


def ignore(event: inp.Input) -> None:
    """What becomes of an input once the session is over."""
