"""The files of a Whisper model, looked at before the library is: whether they are one, and fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import tokenizers

from voiced.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "model.bin"


def find_file(folder: Path) -> Path:
    """The `model.bin` of a model, which a directory is. Raises `ModelError`."""
    path = folder / MODEL
    if path.is_file():
        return path
    if folder.is_file():
        raise ModelError(
            f"{folder} is a file; a Whisper model is the directory with {MODEL} and tokenizer.json "
            "in it, as faster-whisper uses them (a .bin or .gguf of whisper.cpp cannot be read)"
        )
    if not folder.is_dir():
        raise ModelError(
            f"there is no Whisper model {folder}; put its directory there, or set stt.model to "
            "where it lies"
        )
    if any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin")):
        raise ModelError(
            f"{folder} is a model for PyTorch; convert it: ct2-transformers-converter --model "
            f"{folder} --output_dir DIRECTORY --copy_files tokenizer.json --quantization int8"
        )
    raise ModelError(
        f"{folder} has no {MODEL}: it is no Whisper model of CTranslate2, or not all of one; copy "
        "or download all of its files"
    )


def read_tokenizer(folder: Path, size: int) -> tokenizers.Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(
            f"the Whisper model {folder} has no tokenizer.json; take it from where the model came "
            "from, or from the model on the Hub that it was converted from"
        )
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as exc:  # the library raises bare Exception
        raise ModelError(f"{path} is damaged ({exc}); copy or download it again") from exc
    for token in ("<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>"):
        number = tokenizer.token_to_id(token)
        if number is None or number >= size:
            raise ModelError(f"{path} is not the tokenizer of this Whisper model: no {token}")
    return tokenizer


class Abilities(msgspec.Struct, frozen=True):
    """What `config.json` makes possible; old conversions, and some of others' models, lack it."""

    aligns: bool
    """Whether the times of words can be told."""
    detects: bool
    """Whether a language can be found out."""


def read_abilities(folder: Path) -> Abilities:
    """Raises `ModelError` for a file that is none of Whisper's."""
    path = folder / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        config = {}
    except (OSError, msgspec.DecodeError) as exc:
        raise ModelError(f"{path} is damaged ({exc}); copy or download it again") from exc
    return Abilities(
        aligns=bool(config.get("alignment_heads")), detects=bool(config.get("lang_ids"))
    )
