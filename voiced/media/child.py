"""A process that decodes or encodes: `python -m voiced.media.child decode FD JOB | encode JOB`.

One for each recording and each speech, started by `voiced.media.coders`: native code that is
given foreign files crashes, hangs and fills memory alone, and computes beside the daemon's loop.
Frames of `voiced.media.wire` go out on stdout, and for encoding in on stdin.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import msgspec

from voiced.engines import isolation
from voiced.engines.failure import report
from voiced.errors import AudioError
from voiced.media import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Send = Callable[[wire.FromChild], None]

_READ_BYTES = 65_536

PROGRESS_S = 10.0
"""A word to the daemon comes at least each time so much of a recording has been read."""

ENCODE_CPU_S = 60.0
ENCODE_CPU_SHARE = 0.1
"""Of the time that a speech lasts: ten times what it takes on a Raspberry Pi."""

NICE = {"decode": 12, "encode": 1}
"""As engines have it: somebody listens to what is encoded, and waits for what is decoded."""


def decode(file_descriptor: int, job: wire.DecodeJob, send: Send) -> None:
    """Send the stretches of speech of the recording that is open as `file_descriptor`."""
    from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
    from voiced.media.confine import confine
    from voiced.media.decode import Source, decode_audio, rehearse
    from voiced.media.stretches import Cutter
    from voiced.turns.silero import SileroStream, SileroVad

    cutter = Cutter(job, SileroStream(SileroVad.load()))
    rehearse()
    # Decoding takes less than a fiftieth of its time on a Raspberry Pi, listening a hundredth.
    confine(cpu_s=60 + job.max_s / 10)
    send(wire.Began())

    def opened(source: Source) -> None:
        send(wire.Opened(source.container, source.codec, source.duration_s))

    position_s = told_s = 0.0
    with os.fdopen(file_descriptor, "rb") as file:
        file.seek(0)
        for pcm in decode_audio(file, opened):
            position_s += len(pcm) / (SAMPLE_BYTES * SPEECH_HZ)
            if position_s > job.max_s:
                raise AudioError(f"the recording is longer than {job.max_s:.0f} s")
            for stretch in cutter.push(pcm):
                send(stretch)
            if position_s - told_s >= PROGRESS_S:
                told_s = position_s
                send(wire.Progress(position_s))
        for stretch in cutter.finish():
            send(stretch)
    send(wire.Done(position_s))


def encode(requests: int, job: wire.EncodeJob, send: Send) -> None:
    """Encode the PCM that comes as frames from `requests`."""
    from voiced.media.confine import confine
    from voiced.media.encode import CODECS, encode_audio, rehearse

    codec = CODECS[job.format]
    rehearse(codec)
    confine(ENCODE_CPU_S + ENCODE_CPU_SHARE * job.longest_s)
    send(wire.Began())
    encoded = bytearray()

    def flush() -> None:
        if encoded:
            send(wire.Data(bytes(encoded)))
            encoded.clear()

    duration_s = encode_audio(_read_pcm(requests, flush), codec, job.rate_hz, encoded.extend)
    flush()
    send(wire.Done(duration_s))


def _read_pcm(requests: int, flush: Callable[[], None]) -> Iterator[bytes]:
    """Before it waits for more, what was made is sent: a codec makes crumbs of 200 bytes, and
    each would be a chunk of HTTP."""
    reader = wire.child_reader()
    while data := os.read(requests, _READ_BYTES):
        for message in reader.feed(data):
            if isinstance(message, wire.End):
                return
            yield message.pcm
        flush()
    os._exit(0)  # the daemon does not want it any more


def _sender(answers: int) -> Send:
    def send(message: wire.FromChild) -> None:
        frame = memoryview(wire.encode(message))
        while frame:
            frame = frame[os.write(answers, frame) :]

    return send


def main(argv: list[str]) -> NoReturn:
    """Do the one job on the command line, and exit."""
    match argv:
        case ["decode", descriptor, job]:
            kind = "decode"
        case ["encode", job]:
            kind, descriptor = "encode", ""
        case _:
            sys.exit("voiced starts this itself: python -m voiced.media.child decode|encode …")
    requests, answers = isolation.reserve_stdio()
    isolation.die_with_parent()
    isolation.leave_signals_to_parent()
    isolation.name_process(f"voiced-{kind}")
    isolation.lower_priority(NICE[kind])
    faulthandler.enable()
    send = _sender(answers)
    try:
        try:
            if kind == "decode":
                decode(int(descriptor), msgspec.json.decode(job, type=wire.DecodeJob), send)
            else:
                encode(requests, msgspec.json.decode(job, type=wire.EncodeJob), send)
        except AudioError as exc:
            print(f"<7>{exc}", file=sys.stderr)
            send(wire.Failed(exc.public))
        except MemoryError:
            send(wire.Failed("Reading the file takes too much memory."))
    except BrokenPipeError:
        os._exit(0)
    except BaseException as exc:
        report(exc)
        sys.stderr.flush()
        os._exit(70)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
