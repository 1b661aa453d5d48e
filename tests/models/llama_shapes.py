"""Language models of a true shape, made on the spot: what they say takes as long as a real one's
words.

`write_random` makes one whose answer has no meaning and no end, `write_saying` one that always says
the same and then ends. The matrices of both have the same size, the same 8 bits and nothing that a
library could leave out, so that they cost the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import msgspec
import numpy as np

from tests.models.llama_model import (
    BYTES,
    EOS,
    IM_END,
    TEMPLATE,
    Words,
    add_attention,
    finish,
    open_writer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

COMMON = """
a about after again all also always am an and another any are as ask at back be because been
before but by call can come could day do does each end even every few find first for from get
give go good had half hall has have he hear help her here him his hour how I if in into is it
its just keep kitchen know lamp last leave light like little long look made make many may me
minute more most much must my need new next night no not now number of off on one only open or
other our out over please put quite right room said same say see set she so some story stop such
take tell than that the their them then there these they thing think this time to too turn two
under until up us very was way we well were what when where which who will with word would year
yes yet you your And Is It Tell The What Yes You asked assistant lamps stories system user
five minutes timer Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March
April May June July August September October November December
"""
"""Words that are one token in these models, with and without a space in front, as they are in
vocabularies of true size: what is measured in tokens is a sentence then, and not a word."""


SMOOTH = 0.02
"""How much of what the layers of a saying model compute reaches what comes after them: so little
that 60 such portions do not hide the last token, and not nothing."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a model."""

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int = 512
    context: int = 4096


SMALL = Shape(layers=4, width=256, inner=768, heads=4, kv_heads=2)
SMOLLM2_135M = Shape(
    layers=30, width=576, inner=1536, heads=9, kv_heads=3, vocabulary=49_152, context=8192
)
QWEN_05B = Shape(
    layers=24, width=896, inner=4864, heads=14, kv_heads=2, vocabulary=151_936, context=32_768
)


def write_random(path: Path, shape: Shape, *, template: str = TEMPLATE, seed: int = 1) -> Path:
    """Write a model of that shape, its weights random and of 8 bits (Q8_0)."""
    words = _words(shape)
    tensors = _tensors(shape, words.count, np.random.default_rng(seed))
    tensors["output"][[EOS, words.ids[IM_END]]] = 0  # never the likeliest: it does not end
    return _write(path, shape, words, tensors, template)


def write_saying(
    path: Path, shape: Shape, says: Sequence[str], *, template: str = TEMPLATE, seed: int = 1
) -> Path:
    """Write a model of that shape that answers with these pieces, whatever it is asked.

    Each piece is a token and may occur once only: the last token alone tells which one follows,
    since it comes through all layers nearly as it was. The rest is as in `write_random`.
    """
    words = _words(shape, says)
    tensors = _tensors(shape, words.count, np.random.default_rng(seed), layers_gain=SMOOTH)
    ids = [words.ids[piece] for piece in says]
    before = [BYTES + ord("\n"), *ids]  # an answer begins behind a line's end, by the template
    tensors["output"][EOS] = 0
    for last, following in zip(before, [*ids, words.ids[IM_END]], strict=True):
        tensors["output"][following] = tensors["token_embd"][last]
    _scale(tensors["token_embd"], np.sqrt(shape.width))  # as large as what a norm makes of it
    return _write(path, shape, words, tensors, template)


def _words(shape: Shape, pieces: Sequence[str] = ()) -> Words:
    common = [w for word in COMMON.split() for w in (word, f" {word}")]
    more = [piece for piece in pieces if piece not in common]
    return Words([*common, *more], fillers=shape.vocabulary)


def _tensors(
    shape: Shape, vocabulary: int, random: np.random.Generator, *, layers_gain: float = 1.0
) -> dict[str, NDArray[np.uint8]]:
    """All matrices, by name; `layers_gain` is of those that end a layer's halves."""
    width, head = shape.width, shape.width // shape.heads
    sizes = {"token_embd": (vocabulary, width), "output": (vocabulary, width)}
    for layer in range(shape.layers):
        sizes |= {
            f"blk.{layer}.{name}": size
            for name, size in {
                "attn_q": (head * shape.heads, width),
                "attn_k": (head * shape.kv_heads, width),
                "attn_v": (head * shape.kv_heads, width),
                "attn_output": (width, head * shape.heads),
                "ffn_gate": (shape.inner, width),
                "ffn_up": (shape.inner, width),
                "ffn_down": (width, shape.inner),
            }.items()
        }
    tensors = {name: _random_q8(random, rows, columns) for name, (rows, columns) in sizes.items()}
    for name, data in tensors.items():
        if name.endswith(("attn_output", "ffn_down")):
            _scale(data, layers_gain)
    return tensors


def _write(
    path: Path,
    shape: Shape,
    words: Words,
    tensors: Mapping[str, NDArray[np.uint8]],
    template: str,
) -> Path:
    writer = open_writer(
        path,
        words,
        template,
        context=shape.context,
        width=shape.width,
        inner=shape.inner,
        layers=shape.layers,
    )
    writer.add_add_bos_token(False)
    head = shape.width // shape.heads
    add_attention(writer, heads=shape.heads, kv_heads=shape.kv_heads, head=head)
    writer.add_rope_freq_base(10_000.0)
    norms = ["output_norm"]
    norms += [f"blk.{n}.{name}" for n in range(shape.layers) for name in ("attn_norm", "ffn_norm")]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(shape.width, np.float32))
    for name, data in tensors.items():
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    return finish(writer, path)


def _random_q8(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.uint8]:
    """Blocks of Q8_0: a scale in 16 bits, then 32 numbers in 8. Of unit gain."""
    data = random.integers(0, 256, (rows, columns // 32 * 34), np.uint8)
    scales = np.full((rows, columns // 32, 1), np.sqrt(3.0 / columns) / 127, np.float16)
    data.reshape(rows, -1, 34)[:, :, :2] = scales.view(np.uint8)
    return data


def _scale(data: NDArray[np.uint8], gain: float) -> None:
    """Multiply what the blocks mean, in place."""
    blocks = data.reshape(len(data), -1, 34)
    scales = np.ascontiguousarray(blocks[:, :, :2]).view(np.float16)
    blocks[:, :, :2] = (scales * np.float16(gain)).view(np.uint8)
