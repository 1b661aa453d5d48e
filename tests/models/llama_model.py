"""Language models made on the spot: GGUF files as llama.cpp loads them, with a real tokenizer.

`write_scripted` makes one that answers by cue: a network of one layer whose attention looks for
the newest cue word in the conversation and whose output then follows a script, piece by piece.
Everything in it is computed by llama.cpp as for any other model.

`write_random` makes one of a true shape with random weights: what it says has no meaning and no
end, and takes as long as a real one's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

UNKNOWN, BOS, EOS = 0, 1, 2
BYTES = 3
"""The token of byte 0; the others follow."""

IM_START, IM_END = "<|im_start|>", "<|im_end|>"
CONTROLS = (IM_START, IM_END)
SPACE = "\u2581"
"""How the tokenizer of this kind writes a space."""

TEMPLATE = """\
{%- if tools -%}
{{ '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' -%}{{ messages[0].content + '\\n' }}{%- endif -%}
{{ '<tools>' }}
{%- for tool in tools -%}{{ '\\n' + (tool | tojson) }}{%- endfor -%}
{{ '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' -%}
{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'tool' -%}
{{ '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- elif message.role != 'system' -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] -%}
{{ '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""
"""In the manner of Qwen's, shortened."""

HEAD = 64
"""Size of the one attention head. Its last two numbers are turned slowly by the position."""

TURN = np.pi / 8192
"""By how much, a token: a cue that stands earlier is looked at less, for 2,000 tokens back."""

ROPE_BASE = TURN ** (-HEAD / (HEAD - 2))
LOOK = 2_000.0
"""How much more a cue is looked at than anything else."""

CUED, DEFAULT, CLOSING = 0.3, 0.1, 0.02
"""Shares of the output: of a cue, of the answer without one, of the mark that ends a string.
That of an object is twice as likely: bound to JSON, the model comes to an end."""


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
"""Words that are one token in a random model, with and without a space in front, as they are in
vocabularies of true size: what is measured in tokens is a sentence then, and not a word."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a random model."""

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


def write_scripted(
    path: Path,
    answers: Mapping[str, Sequence[str]],
    *,
    default: Sequence[str] = ("I do not ", "know that."),
    template: str | None = TEMPLATE,
    context: int = 2048,
    endless: bool = False,
    framed: bool = False,
) -> Path:
    """Write a model that answers each cue with the pieces given; the newest cue in the
    conversation counts. Every piece is a token of its own and may occur once only; `<0xC3>` is
    that byte. An `endless` one begins anew at the end of its answer. A `framed` one wants each
    text between a token that begins it and one that ends it."""
    scripts = [list(default), *map(list, answers.values())]
    pieces = [piece for script in scripts for piece in script]
    words = _Words([*answers, *pieces], fillers=0)
    width = -(-words.count // 64) * 64
    one = np.eye(words.count, width, dtype=np.float32)
    keys, values, back = (
        np.zeros(s, np.float32) for s in ((HEAD, width), (HEAD, width), (width, HEAD))
    )
    output = np.zeros((words.count, width), np.float32)
    start = BYTES + ord("\n")
    for number, script in enumerate(scripts):
        ids = [words.ids[piece] for piece in script]
        output[ids[0], start] = 1.0
        end = ids[0] if endless else words.ids[IM_END]
        for this, following in zip(ids, [*ids[1:], end], strict=True):
            output[following, this] = 1.0
        if number == 0:
            output[ids[0], start] += DEFAULT
            continue
        cue = words.ids[list(answers)[number - 1]]
        keys[HEAD - 2, cue] = 1.0
        values[number, cue] = 1.0
        back[cue, number] = 1.0
        output[ids[0], cue] = CUED
    output[BYTES + ord('"')] += CLOSING
    output[BYTES + ord("}")] += 2 * CLOSING
    # The norm in front of the attention makes a single 1 the root of the width.
    scale = np.float32(width)
    looks = np.zeros((HEAD, width), np.float32)
    looks[HEAD - 2], looks[HEAD - 1] = np.cos(np.pi / 4), np.sin(np.pi / 4)
    strength = np.sqrt(LOOK * np.sqrt(HEAD) / scale)
    writer = _writer(path, words, template, context=context, width=width, inner=32, layers=1)
    writer.add_add_bos_token(framed)
    writer.add_add_eos_token(framed)
    _attention(writer, heads=1, kv_heads=1)
    writer.add_rope_freq_base(float(ROPE_BASE))
    tensors = {
        "token_embd": one,
        "output_norm": np.ones(width, np.float32),
        "output": output,
        "blk.0.attn_norm": np.ones(width, np.float32),
        "blk.0.attn_q": looks * strength,
        "blk.0.attn_k": keys * strength,
        "blk.0.attn_v": values / np.sqrt(scale),
        "blk.0.attn_output": back,
        "blk.0.ffn_norm": np.ones(width, np.float32),
        "blk.0.ffn_gate": np.zeros((32, width), np.float32),
        "blk.0.ffn_up": np.zeros((32, width), np.float32),
        "blk.0.ffn_down": np.zeros((width, 32), np.float32),
    }
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", np.ascontiguousarray(tensor, np.float32))
    return _finish(writer, path)


def write_random(path: Path, shape: Shape, *, template: str = TEMPLATE, seed: int = 1) -> Path:
    """Write a model of that shape, its weights random and of 8 bits (Q8_0)."""
    random = np.random.default_rng(seed)
    words = _Words(
        [w for word in COMMON.split() for w in (word, f" {word}")], fillers=shape.vocabulary
    )
    head = shape.width // shape.heads
    writer = _writer(
        path,
        words,
        template,
        context=shape.context,
        width=shape.width,
        inner=shape.inner,
        layers=shape.layers,
    )
    writer.add_add_bos_token(False)
    _attention(writer, heads=shape.heads, kv_heads=shape.kv_heads, head=head)
    writer.add_rope_freq_base(10_000.0)

    def add(name: str, rows: int, columns: int) -> None:
        data = _random_q8(random, rows, columns)
        if name == "output":
            data[[EOS, words.ids[IM_END]]] = 0  # never the likeliest: it does not end
        writer.add_tensor(f"{name}.weight", data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(shape.width, np.float32))

    add("token_embd", words.count, shape.width)
    norm("output_norm")
    add("output", words.count, shape.width)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        norm(block + "attn_norm")
        add(block + "attn_q", head * shape.heads, shape.width)
        add(block + "attn_k", head * shape.kv_heads, shape.width)
        add(block + "attn_v", head * shape.kv_heads, shape.width)
        add(block + "attn_output", shape.width, head * shape.heads)
        norm(block + "ffn_norm")
        add(block + "ffn_gate", shape.inner, shape.width)
        add(block + "ffn_up", shape.inner, shape.width)
        add(block + "ffn_down", shape.width, shape.inner)
    return _finish(writer, path)


class _Words:
    """A vocabulary: bytes, control tokens, whole words, and words that nobody says."""

    def __init__(self, words: Sequence[str], *, fillers: int) -> None:
        kinds = gguf.TokenType
        entries: list[tuple[str, float, int]] = [
            ("<unk>", 0.0, kinds.UNKNOWN),
            ("<s>", 0.0, kinds.CONTROL),
            ("</s>", 0.0, kinds.CONTROL),
            *((f"<0x{byte:02X}>", 0.0, kinds.BYTE) for byte in range(256)),
            *((text, 0.0, kinds.CONTROL) for text in CONTROLS),
            (SPACE, -1.0, kinds.NORMAL),
        ]
        known = {text for text, _, _ in entries}
        entries += [(text, 0.0, kinds.USER_DEFINED) for text in words if text not in known]
        left = max(0, fillers - len(entries))
        entries += [(f"filler{number}", -1000.0, kinds.NORMAL) for number in range(left)]
        self.ids = {text: token for token, (text, _, _) in enumerate(entries)}
        assert len(self.ids) == len(entries), "a piece may occur once only"
        self.count = len(entries)
        self.texts, self.scores, self.kinds = (
            list(column) for column in zip(*entries, strict=True)
        )


def _writer(
    path: Path,
    words: _Words,
    template: str | None,
    *,
    context: int,
    width: int,
    inner: int,
    layers: int,
    architecture: str = "llama",
) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(path.stem)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_block_count(layers)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words.texts)
    writer.add_token_scores(words.scores)
    writer.add_token_types(words.kinds)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_eot_token_id(words.ids[IM_END])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_space_prefix(False)
    if template is not None:
        writer.add_chat_template(template)
    return writer


def _attention(writer: gguf.GGUFWriter, *, heads: int, kv_heads: int, head: int = HEAD) -> None:
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)


def _random_q8(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.uint8]:
    """Blocks of Q8_0: a scale in 16 bits, then 32 numbers in 8. Of unit gain."""
    blocks = columns // 32
    data = random.integers(0, 256, (rows, blocks, 34), np.uint8)
    scale = np.array([np.sqrt(3.0 / columns) / 127], np.float16)
    data[:, :, :2] = scale.view(np.uint8)
    return data.reshape(rows, blocks * 34)


def _finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tool(name: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON schema
    """A function as engines are told of it; every parameter is required."""
    return {
        "name": name,
        "description": f"the function {name}",
        "parameters": {
            "type": "object",
            "properties": parameters,
            "required": list(parameters),
        },
    }
