"""Writes a fitted model as ONNX, in the incremental form that live calls need.

The model carries two numbers per call from one utterance to the next: `score`, the weighted
sum of the features so far, and `energy`, their squared length. An utterance hands in only the
features it changed, with their term weights before and after; calls are batched by padding
with features whose weights do not change.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.scam.fit import Weights

OPSET = 17
IR_VERSION = 9


def to_onnx(weights: Weights) -> bytes:
    """Build the model file; the same weights give the same bytes."""
    graph = helper.make_graph(
        _nodes(),
        "scam",
        [
            helper.make_tensor_value_info("features", TensorProto.INT64, ["calls", "width"]),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["calls", "width"]),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["calls", "width"]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["calls"]),
            helper.make_tensor_value_info("energy", TensorProto.FLOAT, ["calls"]),
        ],
        [
            helper.make_tensor_value_info("next_score", TensorProto.FLOAT, ["calls"]),
            helper.make_tensor_value_info("next_energy", TensorProto.FLOAT, ["calls"]),
            helper.make_tensor_value_info("margin", TensorProto.FLOAT, ["calls"]),
        ],
        _constants(weights),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="voice-server"
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Gather", ["weights", "features"], ["weight"]),
        node("Gather", ["squared_idf", "features"], ["idf2"]),
        node("Sub", ["after", "before"], ["gain"]),
        node("Mul", ["weight", "gain"], ["pulls"]),
        node("ReduceSum", ["pulls", "last_axis"], ["pull"], keepdims=0),
        node("Add", ["score", "pull"], ["next_score"]),
        node("Mul", ["after", "after"], ["after2"]),
        node("Mul", ["before", "before"], ["before2"]),
        node("Sub", ["after2", "before2"], ["gain2"]),
        node("Mul", ["idf2", "gain2"], ["growths"]),
        node("ReduceSum", ["growths", "last_axis"], ["growth"], keepdims=0),
        node("Add", ["energy", "growth"], ["next_energy"]),
        node("Add", ["next_energy", "damping"], ["damped"]),
        node("Sqrt", ["damped"], ["norm"]),
        node("Div", ["next_score", "norm"], ["mean_pull"]),
        node("Add", ["mean_pull", "bias"], ["margin"]),
    ]


def _constants(weights: Weights) -> list[onnx.TensorProto]:
    idf = weights.idf.astype(np.float64)
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "weights": (weights.weight * idf).astype(np.float32),
        "squared_idf": np.square(idf).astype(np.float32),
        "damping": np.array(weights.damping, dtype=np.float32),
        "bias": np.array(weights.bias, dtype=np.float32),
        "last_axis": np.array([1], dtype=np.int64),
    }
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]
