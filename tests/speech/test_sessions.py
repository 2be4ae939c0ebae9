from __future__ import annotations

from models.scam.manifest import FOLDER
from voice_server.speech.sessions import open_session

MODEL = FOLDER / "model.onnx"


def test_a_session_keeps_no_memory_for_lengths_it_may_never_see_again() -> None:
    options = open_session(MODEL).get_session_options()
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern


def test_a_session_computes_in_the_calling_thread() -> None:
    options = open_session(MODEL).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
