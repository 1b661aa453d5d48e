"""The smallest files that pass for models as far as installing them goes; no engine runs them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def write_gguf(path: Path, *, architecture: str = "llama", licence: str = "apache-2.0") -> Path:
    """A GGUF with one tensor, written by the library of llama.cpp's own project."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_license(licence)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<s>", "a", "b"])
    writer.add_tensor("token_embd.weight", np.ones((64, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_whisper(folder: Path, *, kind: str = "WhisperSpec") -> Path:
    """A directory in the form that CTranslate2 writes, with one variable."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (folder / name).write_text(json.dumps({}))
    data = np.ones((4, 8), np.float32).tobytes()
    (folder / "model.bin").write_bytes(
        b"".join(
            [
                struct.pack("<I", 6),
                _string(kind),
                struct.pack("<II", 3, 1),
                _string("encoder/conv1/weight"),
                struct.pack("<BIIBI", 2, 4, 8, 0, len(data)),
                data,
                struct.pack("<I", 0),
            ]
        )
    )
    (folder / "README.md").write_text("Not of the model.")
    return folder


def _string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"
