"""`voiced understand`: what the assistant takes a sentence to mean, without acting on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.assistant.files import assistant_files
from voiced.assistant.sentences import load_sentences
from voiced.assistant.understanding import Understander
from voiced.cli.engines import quiet_logs
from voiced.cli.options import add_config_option, add_json_option
from voiced.cli.running import run_trio
from voiced.errors import UsageError
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    import argparse

    from voiced.assistant.understanding import Understanding
    from voiced.settings import Llm, Settings


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "understand",
        help="show what a sentence is understood as, without acting on it",
        description="Show intent and slots of a sentence, typed or spoken. Nothing is done, and"
        " no running daemon is needed. Exits with 1 where a sentence is not understood.",
    )
    said = parser.add_mutually_exclusive_group(required=True)
    said.add_argument("text", nargs="?", metavar="TEXT", help="the sentence")
    said.add_argument("--wav", type=Path, metavar="FILE", help="take the sentence from a recording")
    add_config_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the meaning; 1 where there is none."""
    settings = load_settings(args.config)
    quiet_logs(settings)
    understander = open_understander(settings.llm, settings.stt.language)
    text = args.text
    if text is None:
        text = _hear(args.wav, settings)
    elif not text.strip():
        raise UsageError("there is no sentence to understand")
    meaning = understander.understand(text)
    if args.json:
        print(msgspec.json.encode(make_report(text, meaning)).decode())
    elif meaning is None:
        print(f"not understood: {text}" if text else "nothing was heard")
    else:
        print_meaning(meaning)
    return 0 if meaning is not None else 1


def open_understander(settings: Llm, language: str) -> Understander:
    """The assistant's understanding of the configured sentences. Raises `ModelError`."""
    options = {"sentences": settings.sentences, "home": settings.home, "language": language}
    return Understander(load_sentences(*assistant_files(options)))


def make_report(text: str, meaning: Understanding | None) -> dict[str, Any]:
    """What `--json` prints; `intent` is null where the sentence is not understood."""
    return {
        "text": text,
        "intent": None if meaning is None else meaning.intent.name,
        "slots": {} if meaning is None else meaning.slots,
        "tool": None if meaning is None else meaning.intent.tool or None,
        "template": None if meaning is None else meaning.place,
    }


def print_meaning(meaning: Understanding) -> None:
    """The meaning for people."""
    print(f"sentence  {meaning.written}")
    print(f"intent    {meaning.intent.name}")
    for name, value in meaning.slots.items():
        print(f"slot      {name} = {value}")
    if meaning.intent.tool:
        print(f"tool      {meaning.intent.tool}")
    print(f"template  {meaning.place}")


def _hear(path: Path, settings: Settings) -> str:
    # Not needed for typed sentences, and slow to import.
    from voiced.cli.listening import transcribe_file
    from voiced.cli.results import workplace
    from voiced.jobs.transcription import TranscriptionRequest

    request = TranscriptionRequest(response_format="txt", word_times=False)
    with workplace() as folder:
        done = run_trio(transcribe_file, path, settings, request, folder)
    return " ".join(one.text for one in done.heard if one.text)
