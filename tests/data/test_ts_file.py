"""The text format of the UCR and UEA archives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.data.series import Series
from noiseforge.data.source import load_data
from noiseforge.errors import UserError

HEADER = "#about\n@problemName Two\n@timeStamps false\n@univariate false\n@dimensions 2\n@equalLength false\n"
LABELLED = HEADER + "@classLabel true 9 10\n@data\n"


def test_ragged_series_with_a_test_set_beside(tmp_path: Path) -> None:
    (tmp_path / "Two_TRAIN.ts").write_text(LABELLED + "1,2,3:4,?,6:10\n0,1:0,1:9\n")
    (tmp_path / "Two_TEST.ts").write_text(LABELLED + "3,2,1,0:1,1,1,1:9\n")
    data = load_data(tmp_path / "Two_TRAIN.ts")
    assert (data.spec.shape, data.spec.classes, len(data.train), len(data.test)) == ((3, 2), ("9", "10"), 2, 1)
    batch = data.train.batch(torch.arange(2))
    assert batch.y is not None and batch.length is not None
    assert (batch.y.tolist(), batch.length.tolist()) == ([1, 0], [3, 2])
    np.testing.assert_allclose(batch.x[0], np.array([[1, 4], [2, np.nan], [3, 6]]) / [3, 6], rtol=1e-6)
    assert "test series that end where the longest training series does: 1" in data.problems
    alone = load_data(tmp_path / "Two_TEST.ts")
    assert len(alone.train) == 1 and isinstance(alone.train, Series) and alone.spec.classes == ("9",)


def test_targets_and_files_without_labels(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text(HEADER + "@targetLabel true\n@data\n1,2:3,4:0.5\n1,5:3,4:0.7\n")
    data = load_data(tmp_path / "a.ts")
    assert data.spec.classes == () and data.spec.shape == (2, 2) and "targets to predict" in data.problems[0]
    (tmp_path / "b.ts").write_text("@univariate true\n@classLabel false\n@data\n1,2\n3,4\n")
    assert load_data(tmp_path / "b.ts").spec.shape == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LABELLED + "1,2,3:4,5:9\n", "line 9: 2 and 3 values, expected one number of values"),
        (LABELLED + "1,2:9\n", "line 9: 1 features, and the header announces 2"),
        (LABELLED + "1,2:1,2:8\n", "line 9: the label '8' is none of the header, 9, 10"),
        (LABELLED + "1,x:1,2:9\n", "line 9: could not convert string to float: 'x'"),
        (LABELLED + "1,inf:1,2:9\n", "line 9: an infinite value"),
        (LABELLED, "no series after @data"),
        ("1,2,3\n", "no line @data"),
        ("@equalLength true\n@seriesLength 3\n@univariate true\n@data\n1,2\n", "line 5: 2 values, expected 3 values"),
        ("@timestamps true\n@data\n(0,1)\n", "has time stamps"),
        ("@data\n1,2:3,4\n1,2\n", "line 3: 1 features, and the first series has 2"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.ts").write_text(text)
    with pytest.raises(UserError, match=message):
        load_data(tmp_path / "a.ts")


def test_a_binary_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"is no \.ts file of text"):
        load_data(tmp_path / "a.ts")
