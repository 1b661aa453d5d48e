"""What a model is, told from its files: which engine takes it, and whether it can."""

from __future__ import annotations

import json
import os
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

import msgspec

from voiced.errors import ModelError
from voiced.models.ctranslate2 import read_model_file
from voiced.models.gguf import read_gguf
from voiced.models.manifest import ModelKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KNOWN = (
    "voiced takes a GGUF file (llama), a directory with a CTranslate2 model of Whisper (whisper), "
    "or a voice of two files, NAME.onnx and NAME.onnx.json (piper)"
)

GGUF, ONNX = ".gguf", ".onnx"
WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
WHISPER_WORDS = ("vocabulary.json", "vocabulary.txt")
WHISPER_TAKEN = (*WHISPER_FILES, *WHISPER_WORDS, "preprocessor_config.json")

CHOSEN_AMONG = 6
"""Names that a refusal lists."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A model's kind and engine; `main` as in a manifest; `files` are those that belong to it."""

    kind: ModelKind
    engine: str
    main: str
    files: tuple[str, ...]
    licence: str = ""
    stem: str = ""
    """The name that its main file suggests; "" where its directory does."""


def choose(paths: Iterable[str], where: str) -> Shape:
    """Which of these files are a model, by their names alone. `where` is for the messages.

    Raises `ModelError` where there is none, or more than one.
    """
    there = sorted(set(paths))
    for base in sorted({str(PurePosixPath(path).parent) for path in there}):
        prefix = "" if base == "." else f"{base}/"
        if f"{prefix}model.bin" in there:
            return _whisper(there, prefix, where)
    models = [path for path in there if path.endswith((GGUF, ONNX)) and not _is_projector(path)]
    if len(models) > 1:
        names = ", ".join(models[:CHOSEN_AMONG]) + (" …" if len(models) > CHOSEN_AMONG else "")
        raise ModelError(f"{where} has several models, name one of them: {names}")
    if not models:
        raise ModelError(f"{where} has no model: {KNOWN}")
    main = models[0]
    name = PurePosixPath(main).name
    if main.endswith(GGUF):
        stem = name.removesuffix(GGUF)
        return Shape(kind="llm", engine="llama", main=main, files=(main,), stem=stem)
    described = f"{main}.json"
    if described not in there:
        raise ModelError(f"{where} has {name} without {name}.json; a Piper voice is both")
    stem = name.removesuffix(ONNX)
    return Shape(kind="tts", engine="piper", main=main, files=(main, described), stem=stem)


def _whisper(there: list[str], prefix: str, where: str) -> Shape:
    words = [name for name in WHISPER_WORDS if prefix + name in there]
    missing = [name for name in WHISPER_FILES if prefix + name not in there]
    if missing or not words:
        lack = ", ".join(missing) or " or ".join(WHISPER_WORDS)
        raise ModelError(f"{where} has a model.bin without {lack}: not all of a Whisper model")
    taken = tuple(prefix + name for name in WHISPER_TAKEN if prefix + name in there)
    return Shape(kind="stt", engine="whisper", main="", files=taken)


def _is_projector(path: str) -> bool:
    """A part of a model that sees; it is none by itself."""
    return PurePosixPath(path).name.startswith("mmproj")


def examine(directory: Path, shape: Shape) -> Shape:
    """Look into the files, as far as that is quick; the shape with what they tell of themselves.

    Raises `ModelError` naming the file and what is wrong with it.
    """
    if shape.engine == "llama":
        file = read_gguf(directory / shape.main)
        return msgspec.structs.replace(shape, licence=str(file.values.get("general.license", "")))
    if shape.engine == "whisper":
        _examine_whisper(directory)
    else:
        _examine_voice(directory / shape.main)
    return shape


def _examine_whisper(directory: Path) -> None:
    path = directory / "model.bin"
    for name in ("config.json", "tokenizer.json"):
        _read_json(directory / name)
    kind = read_model_file(path).kind
    if kind != "WhisperSpec":
        raise ModelError(f"{path} is no model of Whisper, but one of {kind[:40]!r}")


def _examine_voice(path: Path) -> None:
    described = path.with_name(path.name + ".json")
    data = _read_json(described)
    if not (isinstance(data, dict) and "phoneme_id_map" in data and "audio" in data):
        raise ModelError(f"{described} does not describe a Piper voice")
    try:
        with path.open("rb") as file:
            has_graph = _walk_onnx(file)
    except EOFError as exc:
        raise ModelError(f"{path} is no ONNX file, or cut off; get it again") from exc
    if not has_graph:
        raise ModelError(f"{path} is no ONNX file: it has no graph")


def _walk_onnx(file: IO[bytes]) -> bool:
    """Whether a ModelProto has a graph (field 7); raises `EOFError` where it is not whole.

    Only the outermost fields are looked at: a number, or a length and as many bytes.
    """

    def varint() -> int:
        number = 0
        for shift in range(0, 70, 7):
            octet = file.read(1)
            if not octet:
                raise EOFError
            number |= (octet[0] & 0x7F) << shift
            if octet[0] < 0x80:
                return number
        raise EOFError

    size = os.fstat(file.fileno()).st_size
    has_graph = False
    while file.tell() < size:
        field, wire_type = divmod(varint(), 8)
        if wire_type == 0:
            varint()
        elif wire_type == 2:
            file.seek(varint(), os.SEEK_CUR)
            has_graph |= field == 7
        else:
            raise EOFError  # no field of a ModelProto is of another type
        if file.tell() > size:
            raise EOFError
    return has_graph


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"{path} is not JSON, as it should be; get it again") from exc
