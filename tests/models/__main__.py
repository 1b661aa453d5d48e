"""The models for `voiced bench … --models DIR`, made on the spot: `python -m tests.models DIR`.

Of the true shape of published ones, their weights random: Whisper tiny and base, SmolLM2 135M, and
a Piper voice of medium quality. They cost what those cost, hear and answer always the same, as many
words as there was time for, and know nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tests.models.llama_shapes import SMOLLM2_135M, write_saying
from tests.models.piper_true_shape import write_true_shape as write_piper
from tests.models.whisper_model import write_true_shape as write_whisper

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER = (
    *("It", " is", " sunny", " today", ",", " with", " a", " light", " wind", " from", " the"),
    *(" wes", "t,", " and", " about", " twenty", " degrees", " in", " th", "e afternoon", "."),
)
"""What the language model answers: `voiced.bench.engines_tts.SENTENCE`, in as many tokens as it has
words and marks. None may occur twice, so two words are cut elsewhere."""

SAID = ("turn", "on", "the", "lamp", "in", "the", "kitchen", "please")
"""What the Whisper models hear, whatever is said: a word for each 0.3 s of it, and no more."""


def main() -> None:
    """Write what is not there yet."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.models", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to; it may exist")
    folder: Path = parser.parse_args().folder
    unfinished = folder / ".unfinished"
    unfinished.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, Callable[[Path], Path]] = {
        "whisper-tiny": lambda path: write_whisper(path, "tiny", words=SAID),
        "whisper-base": lambda path: write_whisper(path, "base", words=SAID),
        "smollm2-135m.gguf": lambda path: write_saying(path, SMOLLM2_135M, ANSWER),
        "piper": lambda path: write_piper(path, "true-shape").parent,
    }
    for name, write in wanted.items():
        path = folder / name
        if path.exists():
            print(f"{path} is there")
            continue
        write(unfinished / name).replace(path)
        print(path)
    unfinished.rmdir()


if __name__ == "__main__":
    main()
