"""What TensorBoard finds of a training."""

import struct
from collections import defaultdict

import numpy as np
import pytest
from test_fit import QUICK, data, operator

from stencilnet.study import TensorBoard, fit

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def scalars(folder):
    """Values by tag and step, read from the format of TensorFlow's records."""
    found = defaultdict(dict)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        for value in event.summary.value:
            found[value.tag][event.step] = value.simple_value
        content = content[16 + length :]
    return found


def test_every_update_and_validation_is_written(tmp_path):
    folder = tmp_path / "board"
    settings = {**QUICK, "iterations": 6, "validate_every": 3}
    with TensorBoard(folder) as board:
        history = fit(operator(0.3), data(), callbacks=[board], **settings)
    found = scalars(folder)
    updates = list(range(1, 7))
    assert list(found["training/loss"]) == updates
    for name in ("loss", "gradient_norm", "learning_rate", "horizon"):
        written = list(found[f"training/{name}"].values())
        assert np.allclose(written, history[name], rtol=1e-6)
    assert list(found["validation/relative_l2"]) == [3, 6]
    written = list(found["validation/relative_l2"].values())
    assert np.allclose(written, history["validation_relative_l2"], rtol=1e-6)


def test_a_training_that_is_refused_leaves_no_file(tmp_path):
    folder = tmp_path / "board"
    with TensorBoard(folder) as board, pytest.raises(ValueError, match="iterations"):
        fit(operator(), data(), callbacks=[board], **{**QUICK, "iterations": -1})
    assert not folder.exists()
