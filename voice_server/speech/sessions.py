"""Opening ONNX models for work in our own threads."""

from __future__ import annotations

from pathlib import Path

from models.inference import onnxruntime


def open_session(model: Path) -> onnxruntime.InferenceSession:
    """Load a model that computes in the calling thread alone.

    Many calls share few cores: parallel calls use them better than parallel matrices. No arena
    and no memory patterns: speech has another length each time, so both only grow (a process
    held 550 MB after a hundred utterances, 280 MB without them, at the same speed).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(model), sess_options=options, providers=["CPUExecutionProvider"]
    )
