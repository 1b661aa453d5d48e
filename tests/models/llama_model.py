"""Language models made on the spot: GGUF files as llama.cpp loads them, with a real tokenizer.

`write_scripted` makes one that answers by cue: a network of one layer whose attention looks for
the newest cue word in the conversation and whose output then follows a script, piece by piece.
Everything in it is computed by llama.cpp as for any other model.

`tests.models.llama_shapes` makes those of a true shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
    words = Words([*answers, *pieces], fillers=0)
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
    writer = open_writer(path, words, template, context=context, width=width, inner=32, layers=1)
    writer.add_add_bos_token(framed)
    writer.add_add_eos_token(framed)
    add_attention(writer, heads=1, kv_heads=1)
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
    return finish(writer, path)


class Words:
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


def open_writer(
    path: Path,
    words: Words,
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


def add_attention(writer: gguf.GGUFWriter, *, heads: int, kv_heads: int, head: int = HEAD) -> None:
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)


def finish(writer: gguf.GGUFWriter, path: Path) -> Path:
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
