"""A Piper voice of the true shape of "medium" ones, with random weights: it costs what they cost.

The layers of VITS as Piper exports it: a text encoder of 6 layers of attention (192 wide, 2 heads),
4 coupling blocks of WaveNet (192 wide), and a HiFi-GAN decoder (upsampling 8, 8, 4 from 256
channels, residual blocks of kernels 3, 5, 7): 15 million weights, 61 MB. Durations are fixed
rather than predicted, so that the length of what is said is known.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 22_050
HOP = 256
FRAMES_PER_ID = 3.5
"""With a pad between phonemes and some 14 phonemes a second, about what a medium voice has."""

WIDE, HEADS, FEED_FORWARD = 192, 2, 768
ENCODER_LAYERS, FLOWS, FLOW_LAYERS = 6, 4, 4
UPSAMPLING = ((8, 16), (8, 16), (4, 8))
KERNELS = ((3, (1, 2)), (5, (2, 6)), (7, (3, 12)))


class _Graph:
    """Nodes and weights, named as they come."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, *shape: int, fan_in: int) -> str:
        values = self._random.standard_normal(shape, np.float32)
        return self.constant((values / math.sqrt(fan_in)).astype(np.float32))

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - onnx's
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, into: int, out: int, kernel: int, dilation: int = 1) -> str:
        pad = dilation * (kernel - 1) // 2
        weight = self.random(out, into, kernel, fan_in=into * kernel)
        return self.add("Conv", x, weight, pads=[pad, pad], dilations=[dilation])

    def attention(self, x: str) -> str:
        """`x` as (1, time, WIDE)."""
        split = self.constant(np.array([1, -1, HEADS, WIDE // HEADS], np.int64))
        join = self.constant(np.array([1, -1, WIDE], np.int64))
        heads = []
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
            projected = self.add("MatMul", x, self.random(WIDE, WIDE, fan_in=WIDE))
            heads.append(self.add("Transpose", self.add("Reshape", projected, split), perm=order))
        scores = self.add("Softmax", self.add("MatMul", heads[0], heads[1]), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", scores, heads[2]), perm=[0, 2, 1, 3])
        joined = self.add("Reshape", mixed, join)
        return self.add("MatMul", joined, self.random(WIDE, WIDE, fan_in=WIDE))


def write_true_shape(folder: Path, name: str) -> Path:
    """Write `NAME.onnx` and its JSON; returns the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(build(), str(path))
    config = {
        "audio": {"sample_rate": RATE, "quality": "medium"},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "num_symbols": 256,
        "num_speakers": 1,
        "speaker_id_map": {},
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "hop_length": HOP,
    }
    path.with_name(path.name + ".json").write_text(json.dumps(config), "utf-8")
    return path


def build(seed: int = 1) -> onnx.ModelProto:
    """The whole network, checked by onnx."""
    graph = _Graph(seed)
    frames = _expand(graph, _encode(graph))
    audio = _decode(graph, _flow(graph, frames))
    graph.nodes.append(helper.make_node("Identity", [audio], ["output"]))
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, "samples"])
    made = helper.make_graph(graph.nodes, "vits", inputs, [output], graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _encode(graph: _Graph) -> str:
    """Phoneme ids to (1, phonemes, WIDE)."""
    x = graph.add("Gather", graph.random(256, WIDE, fan_in=1), "input")
    scale = graph.constant(np.ones(WIDE, np.float32))
    for _ in range(ENCODER_LAYERS):
        x = graph.add("Add", x, graph.attention(x))
        x = graph.add("LayerNormalization", x, scale, axis=-1)
        turned = graph.add("Transpose", x, perm=[0, 2, 1])
        inner = graph.add("Relu", graph.conv(turned, WIDE, FEED_FORWARD, 3))
        outer = graph.conv(inner, FEED_FORWARD, WIDE, 3)
        x = graph.add("Add", x, graph.add("Transpose", outer, perm=[0, 2, 1]))
        x = graph.add("LayerNormalization", x, scale, axis=-1)
    return x


def _expand(graph: _Graph, x: str) -> str:
    """Each phoneme for as many frames as the speed asks for; (1, WIDE, frames)."""
    which = graph.constant(np.int64(1))
    per_id = graph.constant(np.float32(FRAMES_PER_ID))
    each = graph.add("Mul", graph.add("Gather", "scales", which), per_id)
    count = graph.add("Squeeze", graph.add("Cast", "input_lengths", to=TensorProto.FLOAT))
    frames = graph.add("Floor", graph.add("Mul", count, each))
    zero, one = graph.constant(np.float32(0)), graph.constant(np.float32(1))
    place = graph.add("Floor", graph.add("Div", graph.add("Range", zero, frames, one), each))
    place = graph.add("Min", place, graph.add("Sub", count, one))
    index = graph.add("Cast", place, to=TensorProto.INT64)
    return graph.add("Transpose", graph.add("Gather", x, index, axis=1), perm=[0, 2, 1])


def _flow(graph: _Graph, x: str) -> str:
    half = graph.constant(np.array([WIDE, WIDE], np.int64))
    for _ in range(FLOWS):
        inner = x
        for _ in range(FLOW_LAYERS):
            both = graph.conv(inner, WIDE, 2 * WIDE, 5)
            signal, gate = f"{both}a", f"{both}b"
            graph.nodes.append(helper.make_node("Split", [both, half], [signal, gate], axis=1))
            gated = graph.add("Mul", graph.add("Tanh", signal), graph.add("Sigmoid", gate))
            mixed = graph.conv(gated, WIDE, 2 * WIDE, 1)
            more, skip = f"{mixed}a", f"{mixed}b"
            graph.nodes.append(helper.make_node("Split", [mixed, half], [more, skip], axis=1))
            inner = graph.add("Add", graph.add("Add", inner, more), skip)
        x = graph.add("Tanh", graph.add("Add", x, inner))
    return x


def _decode(graph: _Graph, x: str) -> str:
    """Frames to samples."""
    channels = 256
    x = graph.conv(x, WIDE, channels, 7)
    third = graph.constant(np.float32(1 / 3))
    for factor, kernel in UPSAMPLING:
        pad = (kernel - factor) // 2
        weight = graph.random(channels, channels // 2, kernel, fan_in=channels * kernel // factor)
        x = graph.add("LeakyRelu", x, alpha=0.1)
        x = graph.add("ConvTranspose", x, weight, strides=[factor], pads=[pad, pad])
        channels //= 2
        blocks = []
        for width, dilations in KERNELS:
            block = x
            for dilation in dilations:
                active = graph.add("LeakyRelu", block, alpha=0.1)
                block = graph.add(
                    "Add", block, graph.conv(active, channels, channels, width, dilation)
                )
            blocks.append(block)
        summed = graph.add("Add", graph.add("Add", blocks[0], blocks[1]), blocks[2])
        x = graph.add("Mul", summed, third)
    return graph.add("Tanh", graph.conv(graph.add("LeakyRelu", x), channels, 1, 7))
