import json

import numpy as np

from noiseforge.data import describe, load_data


def test_description_finds_what_is_wrong(tmp_path):
    values = (np.arange(40 * 64).reshape(40, 8, 8) * 37 % 256).astype(np.uint8)
    values += np.arange(40, dtype=np.uint8)[:, None, None]
    values[3] = values[4]
    values[5] = 9
    test = np.concatenate([values[:1], 255 - values[7:8]])
    labels = np.array([0] * 38 + [1] * 2)
    np.savez(tmp_path / "a.npz", x_train=values, y_train=labels, x_test=test, y_test=labels[:2])
    found = describe(load_data(tmp_path / "a.npz"))
    json.dumps(found)
    assert found["training examples"] == 40 and found["test examples"] == 2
    assert found["classes"] == {"0": 38, "1": 2} and found["class imbalance"] == 19
    assert abs(found["mean"] - values.mean()) < 1e-3
    assert abs(found["standard deviation"] - values.std()) < 1e-3
    assert (found["smallest value"], found["largest value"]) == (values.min(), values.max())
    assert found["duplicates in training"] == len(values) - len(np.unique(values.reshape(40, -1), axis=0))
    assert found["test examples also in training"] == 1 and found["constant examples"] == 1
    assert len(found["problems"]) == 4


def test_a_sound_source_has_no_problems():
    assert describe(load_data("digits"))["problems"] == []
