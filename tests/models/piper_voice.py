"""Piper voices made on the spot: the real file format, tones in place of a trained voice.

Each phoneme becomes a tone of its own pitch, so that text, speed and speaker can be heard and
measured. `rounds` adds multiplications of matrices, for a voice that takes its time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

if TYPE_CHECKING:
    from pathlib import Path

RATE = 22_050
HOP = 256
"""Samples of one phoneme id at normal speed, as in Piper's medium voices."""

SIDE = 384
"""Of the square matrices that a slow voice multiplies."""


def write_voice(
    folder: Path, name: str, *, speakers: tuple[str, ...] = (), rounds: int = 0
) -> Path:
    """Write `NAME.onnx` and its JSON; returns the model's path."""
    path = folder / f"{name}.onnx"
    onnx.save(build_graph(speakers=bool(speakers), rounds=rounds), str(path))
    config: dict[str, Any] = {
        "audio": {"sample_rate": RATE, "quality": "test"},
        "espeak": {"voice": "en-us"},
        "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "num_symbols": 256,
        "num_speakers": max(1, len(speakers)),
        "speaker_id_map": {speaker: number for number, speaker in enumerate(speakers)},
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "hop_length": HOP,
    }
    path.with_name(path.name + ".json").write_text(json.dumps(config), "utf-8")
    return path


def build_graph(*, speakers: bool, rounds: int) -> onnx.ModelProto:
    """A network of Piper's inputs and output, checked by onnx."""
    constants: dict[str, Any] = {
        "zero": np.float32(0),
        "one": np.float32(1),
        "hop": np.float32(HOP),
        "lowest": np.float32(150),
        "pitch": np.float32(5),
        "turn": np.float32(2 * np.pi / RATE),
        "loud": np.float32(0.4),
        "time": np.int64(0),
        "which_scale": np.int64(1),
        "flat": np.array([-1], np.int64),
        "wave": np.array([1, 1, 1, -1], np.int64),
        "a_tenth": np.float32(0.1),
    }
    nodes = [
        helper.make_node("Gather", ["scales", "which_scale"], ["length_scale"]),
        helper.make_node("Mul", ["length_scale", "hop"], ["hop_now"]),
        helper.make_node("Cast", ["input_lengths"], ["length_1"], to=TensorProto.FLOAT),
        helper.make_node("Squeeze", ["length_1"], ["length"]),
        helper.make_node("Mul", ["length", "hop_now"], ["samples"]),
        helper.make_node("Range", ["zero", "samples", "one"], ["index"]),
        helper.make_node("Div", ["index", "hop_now"], ["place_exact"]),
        helper.make_node("Floor", ["place_exact"], ["place_floor"]),
        helper.make_node("Sub", ["length", "one"], ["last"]),
        helper.make_node("Min", ["place_floor", "last"], ["place_float"]),
        helper.make_node("Cast", ["place_float"], ["place"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["input", "flat"], ["ids"]),
        helper.make_node("Gather", ["ids", "place"], ["id_now"]),
        helper.make_node("Cast", ["id_now"], ["id_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["id_float", "pitch"], ["above"]),
        helper.make_node("Add", ["above", "lowest"], ["hertz_one"]),
    ]
    hertz = "hertz_one"
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if speakers:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["sid_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["sid_float", "a_tenth"], ["higher"]),
            helper.make_node("Add", ["higher", "one"], ["factor"]),
            helper.make_node("Mul", ["hertz_one", "factor"], ["hertz_speaker"]),
        ]
        hertz = "hertz_speaker"
    nodes += [
        helper.make_node("CumSum", [hertz, "time"], ["phase_hertz"]),
        helper.make_node("Mul", ["phase_hertz", "turn"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["tone"]),
        helper.make_node("Mul", ["tone", "loud"], ["quiet_tone"]),
    ]
    sound = "quiet_tone"
    if rounds:
        matrix = np.eye(SIDE, dtype=np.float32)
        constants["matrix"] = matrix
        previous = "matrix"
        for number in range(rounds):
            nodes.append(helper.make_node("MatMul", [previous, "matrix"], [f"product_{number}"]))
            # Depends on the input, or the optimiser would do the work once, at loading.
            nodes.append(
                helper.make_node("Mul", [f"product_{number}", "length_scale"], [f"scaled_{number}"])
            )
            previous = f"scaled_{number}"
        nodes += [
            helper.make_node("ReduceMax", [previous], ["done"], keepdims=0),
            helper.make_node("Mul", ["done", "zero"], ["nothing"]),
            helper.make_node("Add", ["quiet_tone", "nothing"], ["late_tone"]),
        ]
        sound = "late_tone"
    nodes.append(helper.make_node("Reshape", [sound, "wave"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "voice",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples_out"])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model
