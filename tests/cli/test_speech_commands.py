"""`say`, `transcribe` and `understand`: the engines without a daemon."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.cli.commands import run_voiced
from tests.patience import CEILING_S
from voiced.audio.energy import find_speech
from voiced.audio.files import encode_wav, read_pcm16, read_wav

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def spoken(tmp_path: Path) -> Path:
    """One sentence, half a second of silence, the sentence again; made by the espeak engine."""
    path = tmp_path / "spoken.wav"
    done = await run_voiced("say", "what time is it", "--out", str(path))
    assert done.returncode == 0, done.stderr
    pcm = read_pcm16(path, 16_000)
    path.write_bytes(encode_wav(pcm + bytes(16_000) + pcm + bytes(16_000), 16_000))
    return path


async def test_said_text_is_a_wav_file_with_speech(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    done = await run_voiced("say", "-", "--out", str(path), "--json", stdin=b"Good morning.\n")
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    recording = read_wav(path)
    assert report["out"] == str(path)
    assert report["sample_rate"] == recording.rate_hz
    assert report["audio_seconds"] == pytest.approx(recording.duration_s, abs=0.001)
    assert find_speech(read_pcm16(path, 24_000), 24_000) is not None


async def test_what_is_for_the_eye_alone_is_not_said(tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.wav", tmp_path / "marked.wav"
    text = "**One** two:\n\n```\nx = [1, 2, 3]\n```\n- three \U0001f600"
    await run_voiced("say", text, "--out", str(marked))
    await run_voiced("say", "One two:\n\nthree", "--out", str(plain))
    assert read_wav(marked).duration_s == pytest.approx(read_wav(plain).duration_s, abs=0.01)
    done = await run_voiced("say", "```\ncode\n```", "--out", str(tmp_path / "code.wav"))
    assert done.returncode == 1
    assert b"nothing in the text" in done.stderr


async def test_slower_speech_is_longer(tmp_path: Path) -> None:
    seconds = []
    for speed in ("1.5", "0.7"):
        path = tmp_path / f"{speed}.wav"
        await run_voiced("say", "one two three", "--out", str(path), "--speed", speed)
        seconds.append(read_wav(path).duration_s)
    assert seconds[0] < seconds[1]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("say", " ", "--out", "x.wav"), 2, b"no text"),
        (("say", "a", "--out", "x.wav", "--speed", "9"), 2, b"--speed"),
        (("say", "a", "--out", "/no/such/place/x.wav"), 1, b"/no/such/place/x.wav"),
        (("say", "a"), 2, b"--out"),
        (("say", "a", "--out", "x.doc"), 2, b".mp3"),
        (("transcribe", "/no/such.wav"), 1, b"/no/such.wav"),
        (("understand",), 2, b"required"),
        (("understand", ""), 2, b"no sentence"),
        (("understand", "--wav", "/no/such.wav"), 1, b"/no/such.wav"),
    ],
)
async def test_what_cannot_work_is_said(args: tuple[str, ...], code: int, said: bytes) -> None:
    done = await run_voiced(*args)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


async def test_unknown_engine_is_a_settings_error(tmp_path: Path) -> None:
    out = tmp_path / "x.wav"
    done = await run_voiced("say", "a", "--out", str(out), VOICED_TTS__ENGINE="nonsense")
    assert done.returncode == 2
    assert b"nonsense" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not out.exists()


async def test_recording_is_cut_at_its_pause(spoken: Path) -> None:
    done = await run_voiced("transcribe", str(spoken), "--json", VOICED_STT__ENGINE="stub")
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    first, second = report["utterances"]
    assert 0 <= first["start_s"] < first["end_s"] <= second["start_s"] < second["end_s"]
    assert report["text"] == f"{first['text']} {second['text']}"
    whole = await run_voiced(
        "transcribe", str(spoken), "--whole", "--json", VOICED_STT__ENGINE="stub"
    )
    (only,) = json.loads(whole.stdout)["utterances"]
    assert only["end_s"] == pytest.approx(read_wav(spoken).duration_s, abs=0.001)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
async def test_recording_may_come_by_a_pipe(name: str, spoken: Path) -> None:
    recording = await trio.Path(spoken).read_bytes()
    arguments = ("transcribe", name, "--json")
    done = await run_voiced(*arguments, stdin=recording, VOICED_STT__ENGINE="stub")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(json.loads(done.stdout)["utterances"]) == 2


async def test_silence_holds_no_speech(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    path.write_bytes(encode_wav(bytes(32_000), 16_000))
    done = await run_voiced("transcribe", str(path))
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"no speech was found\n"


@pytest.mark.parametrize("ending", ["mp3", "opus", "ogg", "aac", "flac", "wav"])
async def test_said_text_of_any_format_is_transcribed_again(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"speech.{ending}"
    done = await run_voiced("say", "good morning everybody", "--out", str(path), "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    said = json.loads(done.stdout)
    done = await run_voiced("transcribe", str(path), "--whole", "--json", VOICED_STT__ENGINE="stub")
    assert (done.returncode, done.stderr) == (0, b"")
    (heard,) = json.loads(done.stdout)["utterances"]
    assert heard["end_s"] == pytest.approx(said["audio_seconds"], abs=0.1)


async def test_what_is_no_recording_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"Dear Sirs, " * 100)
    done = await run_voiced("transcribe", str(path))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert str(path).encode() in done.stderr


async def test_understood_sentence_shows_intent_and_slots() -> None:
    done = await run_voiced("understand", "Turn on the living room lamp!", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    assert report["intent"]
    assert "on" in report["slots"].values()
    people = await run_voiced("understand", "Turn on the living room lamp!")
    assert report["intent"].encode() in people.stdout


async def test_sentence_that_means_nothing_is_not_understood() -> None:
    done = await run_voiced("understand", "purple bicycles dream loudly", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["intent"] is None


@pytest.mark.parametrize("wanted", ["txt", "srt", "vtt", "json"])
async def test_transcript_is_printed_or_saved_in_the_format_asked_for(
    wanted: str, spoken: Path, tmp_path: Path
) -> None:
    printed = await run_voiced(
        "transcribe", str(spoken), "--format", wanted, VOICED_STT__ENGINE="stub"
    )
    assert (printed.returncode, printed.stderr) == (0, b"")
    out = tmp_path / f"transcript.{wanted}"
    saved = await run_voiced(
        "transcribe", str(spoken), "--out", str(out), VOICED_STT__ENGINE="stub"
    )
    assert (saved.returncode, saved.stderr) == (0, b"")
    assert saved.stdout == f"2 utterances saved as {out}\n".encode()
    text = out.read_text()
    assert text.encode() == printed.stdout
    marks = {"txt": "\n", "srt": "2\n00:00:0", "vtt": "WEBVTT\n\n", "json": '"segments":['}
    assert marks[wanted] in text
    assert sorted(os.listdir(tmp_path)) == [spoken.name, out.name]


async def test_who_gets_an_empty_file_is_told_why(tmp_path: Path) -> None:
    spoken, quiet, out = (tmp_path / name for name in ("nonsense.wav", "quiet.wav", "said.srt"))
    nonsense = "Purple bicycles dream loudly of marmalade."
    assert (await run_voiced("say", nonsense, "--out", str(spoken))).returncode == 0
    saved = await run_voiced("transcribe", str(spoken), "--out", str(out))
    assert (saved.returncode, saved.stdout) == (0, f"0 utterances saved as {out}\n".encode())
    assert saved.stderr == b"There was speech, and nothing of it was understood.\n"
    quiet.write_bytes(encode_wav(bytes(64_000), 16_000))
    printed = await run_voiced("transcribe", str(quiet), "--format", "srt")
    assert (printed.returncode, printed.stdout) == (0, b"")
    assert printed.stderr == b"No speech was found in the recording.\n"


async def test_book_is_said_into_a_file(tmp_path: Path) -> None:
    text, out = tmp_path / "book.md", tmp_path / "book.mp3"
    text.write_text("# Good morning\n\n- everybody\n- here\n\n```\nnot this\n```\n")
    done = await run_voiced("say", "--file", str(text), "--out", str(out), "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    seconds = json.loads(done.stdout)["audio_seconds"]
    plain = await run_voiced("say", "Good morning.", "--out", str(tmp_path / "a.wav"), "--json")
    assert seconds > json.loads(plain.stdout)["audio_seconds"] + 2 * 0.7
    assert out.read_bytes().startswith(b"\xff\xf3")
    assert out.stat().st_mode & 0o777 == text.stat().st_mode & 0o777
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "book.md", "book.mp3"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("say", "--out", "x.wav"), 2, b"--file"),
        (("say", "a", "--file", "b", "--out", "x.wav"), 2, b"--file"),
        (("say", "--file", "/no/such.md", "--out", "x.wav"), 1, b"/no/such.md"),
        (("say", "--file", "/bin/true", "--out", "x.wav"), 1, b"no text"),
        (("say", "a", "--voice", "nobody", "--out", "x.wav"), 2, b"'voice'"),
        (("transcribe", "a.wav", "--format", "doc"), 2, b"--format"),
        (("transcribe", "a.wav", "--out", "x.doc"), 2, b".srt"),
        (("transcribe", "a.wav", "--out", "/no/such/place/x.srt"), 1, b"/no/such/place"),
        (("transcribe", "a.wav", "--format", "srt", "--json"), 2, b"--json"),
    ],
)
async def test_what_is_asked_wrongly_is_said_in_a_line(
    args: tuple[str, ...], code: int, said: bytes
) -> None:
    done = await run_voiced(*args)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["say", "transcribe"])
async def test_interrupt_ends_it_and_leaves_nothing(
    command: str, spoken: Path, tmp_path: Path
) -> None:
    """By Ctrl-C, while the engine works: the stub takes a minute for its first answer."""
    place = tmp_path / "place"
    place.mkdir()
    arguments = {
        "say": ("say", "a sentence", "--out", str(place / "x.wav")),
        "transcribe": ("transcribe", str(spoken), "--out", str(place / "x.srt")),
    }[command]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    slow = {"VOICED_STT__ENGINE": "stub", "VOICED_TTS__ENGINE": "stub"}
    slow |= {"VOICED_STT__FIRST_MS": "60000", "VOICED_TTS__FIRST_MS": "60000"}
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [sys.executable, "-m", "voiced", *arguments],
            check=False,
            capture_stdout=True,
            capture_stderr=True,
            env={**kept, **slow},
        )
        with trio.fail_after(CEILING_S):
            process = await nursery.start(start)
            while not any(place.glob(".voiced-*/*")):  # noqa: ASYNC110  # files tell nobody
                await trio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            await process.wait()
        nursery.cancel_scope.cancel()
    assert process.returncode == 130
    assert os.listdir(place) == []
