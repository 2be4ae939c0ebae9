"""Writes a fitted model as ONNX, in the incremental form that live calls need.

The model carries two numbers per call from one utterance to the next: `score`, the weighted
sum of the features so far, and `energy`, their squared length. An utterance hands in only the
features it changed, with their term weights before and after; calls are batched by padding
with features whose weights do not change. The heads for kinds and tactics are a file of their
own, in the same form with a score for each name, one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.scam.fit import Weights
from models.scam.kinds import PLACES, Heads

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
    return _as_bytes(graph)


def heads_to_onnx(heads: Heads) -> bytes:
    """Build the file of the heads; the same heads give the same bytes."""
    number, names = TensorProto.FLOAT, len(heads.bias)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        _head_nodes(),
        "kinds",
        [
            value("features", TensorProto.INT64, ["width"]),
            value("before", number, ["width"]),
            value("after", number, ["width"]),
            value("scores", number, [names]),
            value("energy", number, []),
        ],
        [
            value("next_scores", number, [names]),
            value("next_energy", number, []),
            value("log_odds", number, [names]),
        ],
        _tensors(
            {
                "weights": heads.weight,
                "bias": heads.bias,
                "damping": np.array(heads.damping, dtype=np.float32),
                "places": np.array(PLACES, dtype=np.int64),
            }
        ),
    )
    return _as_bytes(graph)


def _as_bytes(graph: onnx.GraphProto) -> bytes:
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


def _head_nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Mod", ["features", "places"], ["place"]),
        node("Gather", ["weights", "place"], ["weight"]),
        node("Sub", ["after", "before"], ["gain"]),
        node("MatMul", ["gain", "weight"], ["pull"]),
        node("Add", ["scores", "pull"], ["next_scores"]),
        node("Mul", ["after", "after"], ["after2"]),
        node("Mul", ["before", "before"], ["before2"]),
        node("Sub", ["after2", "before2"], ["growths"]),
        node("ReduceSum", ["growths"], ["growth"], keepdims=0),
        node("Add", ["energy", "growth"], ["next_energy"]),
        node("Add", ["next_energy", "damping"], ["damped"]),
        node("Sqrt", ["damped"], ["norm"]),
        node("Div", ["next_scores", "norm"], ["mean_pull"]),
        node("Add", ["mean_pull", "bias"], ["log_odds"]),
    ]


def _constants(weights: Weights) -> list[onnx.TensorProto]:
    idf = weights.idf.astype(np.float64)
    return _tensors(
        {
            "weights": (weights.weight * idf).astype(np.float32),
            "squared_idf": np.square(idf).astype(np.float32),
            "damping": np.array(weights.damping, dtype=np.float32),
            "bias": np.array(weights.bias, dtype=np.float32),
            "last_axis": np.array([1], dtype=np.int64),
        }
    )


def _tensors(
    arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[Any]]],
) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]
