"""What a program does that was written for OpenAI's audio endpoints; a process of its own.

Arguments: the base URL, and a folder to work in. Prints what it was answered, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from openai import APIStatusError, OpenAI

TEXT = "Turn on the living room lamp. What time is it? Set a timer for ten minutes."


def main() -> None:
    # Any: what is given by format and so on is too wide for the SDK's overloads.
    client: Any = OpenAI(base_url=sys.argv[1], api_key="not needed here", max_retries=0)
    folder = Path(sys.argv[2])
    told: dict[str, Any] = {"spoken": {}, "heard": {}}

    for name in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=TEXT, response_format=name
        ) as response:
            pieces = list(response.iter_bytes())
            told["spoken"][name] = [response.headers["content-type"], len(pieces)]
            (folder / f"speech.{name}").write_bytes(b"".join(pieces))

    audio = client.audio.transcriptions
    for name in ("mp3", "opus", "aac", "flac", "wav"):
        with (folder / f"speech.{name}").open("rb") as file:
            heard = audio.create(model="whisper-1", file=file)
        told["heard"][name] = [heard.text, heard.usage.seconds]

    def transcribe(**fields: object) -> Any:  # noqa: ANN401  # differs by format
        with (folder / "speech.mp3").open("rb") as file:
            return audio.create(model="whisper-1", file=file, **fields)

    told["texts"] = {name: transcribe(response_format=name) for name in ("text", "srt", "vtt")}
    told["verbose"] = transcribe(
        response_format="verbose_json",
        timestamp_granularities=["segment"],
        language="en",
        temperature=0.2,
        chunking_strategy={"type": "server_vad", "silence_duration_ms": 300},
    ).model_dump()
    told["events"] = [event.model_dump() for event in transcribe(stream=True)]
    told["errors"] = []
    for fields in (
        {"response_format": "diarized_json"},
        {"language": "tlh"},
        {"response_format": "verbose_json", "timestamp_granularities": ["word"]},
    ):
        try:
            transcribe(**fields)
        except APIStatusError as error:
            told["errors"].append([error.status_code, error.param])
    try:
        audio.create(model="whisper-1", file=("a.mp3", b"no sound at all"))
    except APIStatusError as error:
        told["errors"].append([error.status_code, error.code])
    try:
        client.audio.speech.create(model="tts-1", voice="alloy", input="x" * 4097)
    except APIStatusError as error:
        told["errors"].append([error.status_code, error.param])
    print(json.dumps(told))


if __name__ == "__main__":
    main()
