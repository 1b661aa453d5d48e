"""Language models that remember otherwise: GGUF files as llama.cpp loads them, of random numbers.

`write_sliding` looks back over a window only, as Gemma 3 does. Two have a state in place of tokens,
which cannot be taken back to an earlier token, and what is stopped in the middle of a batch has
spoilt: `write_hybrid` has one layer with a state and one with attention, as LFM2 has;
`write_recurrent` has states only, as Mamba has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.models.llama_model import EOS, IM_END, TEMPLATE, Words, finish, open_writer
from tests.models.llama_shapes import COMMON

if TYPE_CHECKING:
    from pathlib import Path

    import gguf
    from numpy.typing import NDArray

WIDTH, INNER, HEAD = 64, 128, 32
REACH = 3
"""How many tokens the short convolution of LFM2 looks at."""

WINDOW = 16
"""How many Gemma's layers look at."""

STATE, RANK, KERNEL = 16, 4, 4


class _Tensors:
    """Adds tensors of random numbers of unit gain."""

    def __init__(self, writer: gguf.GGUFWriter, words: Words) -> None:
        self._writer = writer
        self._random = np.random.default_rng(3)
        self._silent = [EOS, words.ids[IM_END]]
        for name in ("token_embd", "output"):
            self.weight(name, words.count, WIDTH)

    def weight(self, name: str, rows: int, columns: int) -> None:
        data = self._random.normal(0.0, columns**-0.5, (rows, columns)).astype(np.float32)
        if name == "output":
            data[self._silent] = 0  # never the likeliest: it does not end
        self.add(f"{name}.weight", data)

    def attention(self, block: str) -> None:
        """One head of keys and values for two of questions."""
        self.ones(block + "attn_q_norm", HEAD)
        self.ones(block + "attn_k_norm", HEAD)
        self.weight(block + "attn_q", WIDTH, WIDTH)
        self.weight(block + "attn_k", HEAD, WIDTH)
        self.weight(block + "attn_v", HEAD, WIDTH)
        self.weight(block + "attn_output", WIDTH, WIDTH)

    def feed_forward(self, block: str) -> None:
        self.weight(block + "ffn_gate", INNER, WIDTH)
        self.weight(block + "ffn_up", INNER, WIDTH)
        self.weight(block + "ffn_down", WIDTH, INNER)

    def ones(self, name: str, size: int = WIDTH) -> None:
        self.add(f"{name}.weight", np.ones(size, np.float32))

    def add(self, name: str, data: NDArray[np.float32]) -> None:
        self._writer.add_tensor(name, np.ascontiguousarray(data, np.float32))


def _open(path: Path, architecture: str) -> tuple[gguf.GGUFWriter, _Tensors]:
    words = Words([w for word in COMMON.split() for w in (word, f" {word}")], fillers=0)
    writer = open_writer(
        path,
        words,
        TEMPLATE,
        context=4096,
        width=WIDTH,
        inner=INNER,
        layers=2,
        architecture=architecture,
    )
    writer.add_add_bos_token(False)
    return writer, _Tensors(writer, words)


def write_sliding(path: Path) -> Path:
    """Write a model of Gemma 3's kind."""
    writer, tensors = _open(path, "gemma3")
    writer.add_head_count(WIDTH // HEAD)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_sliding_window(WINDOW)
    writer.add_rope_freq_base(10_000.0)
    tensors.ones("output_norm")
    for layer in range(2):
        block = f"blk.{layer}."
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            tensors.ones(block + name)
        tensors.attention(block)
        tensors.feed_forward(block)
    return finish(writer, path)


def write_hybrid(path: Path) -> Path:
    """Write a model of LFM2's kind."""
    writer, tensors = _open(path, "lfm2")
    writer.add_head_count(WIDTH // HEAD)
    writer.add_head_count_kv([0, 1])
    writer.add_shortconv_l_cache(REACH)
    writer.add_rope_freq_base(10_000.0)
    tensors.ones("token_embd_norm")
    for layer in range(2):
        block = f"blk.{layer}."
        tensors.ones(block + "attn_norm")
        tensors.ones(block + "ffn_norm")
        tensors.feed_forward(block)
    tensors.weight("blk.0.shortconv.conv", WIDTH, REACH)
    tensors.weight("blk.0.shortconv.in_proj", 3 * WIDTH, WIDTH)
    tensors.weight("blk.0.shortconv.out_proj", WIDTH, WIDTH)
    tensors.attention("blk.1.")
    return finish(writer, path)


def write_recurrent(path: Path) -> Path:
    """Write a model of Mamba's kind."""
    writer, tensors = _open(path, "mamba")
    inner = 2 * WIDTH
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(KERNEL)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)
    tensors.ones("output_norm")
    for layer in range(2):
        block = f"blk.{layer}."
        tensors.ones(block + "attn_norm")
        tensors.weight(block + "ssm_in", 2 * inner, WIDTH)
        tensors.weight(block + "ssm_conv1d", inner, KERNEL)
        tensors.add(block + "ssm_conv1d.bias", np.zeros(inner, np.float32))
        tensors.weight(block + "ssm_x", RANK + 2 * STATE, inner)
        tensors.weight(block + "ssm_dt", inner, RANK)
        tensors.add(block + "ssm_dt.bias", np.full(inner, -3.0, np.float32))
        tensors.add(block + "ssm_a", -np.tile(np.arange(1.0, STATE + 1), (inner, 1)))
        tensors.add(block + "ssm_d", np.ones(inner, np.float32))
        tensors.weight(block + "ssm_out", WIDTH, inner)
    return finish(writer, path)
