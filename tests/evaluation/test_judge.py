"""The judge: how well it judges, that it is kept, and that it is the same wherever it is made."""

import logging
from pathlib import Path

import pytest
import torch

from noiseforge.data import Data, load_data
from noiseforge.errors import UserError
from noiseforge.evaluation.features import default_features, extractor
from noiseforge.evaluation.judge import Judge, StackedJudge, build_network, train_judge
from noiseforge.evaluation.judge_cache import judge_of


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits", test_fraction=0.3)


@pytest.fixture
def ring() -> Data:
    """Few labelled points, that a judge is quickly trained on."""
    return load_data("ring", labels_per_class=30)


def test_digits_are_judged_rightly(digits: Data) -> None:
    before = torch.get_rng_state()
    judge = judge_of(digits)
    assert judge.accuracy > 0.97
    features = judge.features(digits.test.batch(torch.arange(8)).x)
    assert (features.dtype, features.shape) == (torch.float64, (8, 128))
    assert torch.allclose(judge.probabilities(features).sum(1), torch.ones(8, dtype=torch.float64))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_mnist_is_judged_rightly(shared_data: Path) -> None:
    assert train_judge(load_data(shared_data / "mnist")).accuracy > 0.99


def test_a_judge_is_trained_once_and_a_damaged_one_again(
    ring: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = judge_of(ring, cache=tmp_path)
    (kept,) = (tmp_path / "judges").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[:-100], whole[:-4] + b"\1\2\3\4"):
        kept.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            assert judge_of(ring, cache=tmp_path).id == first.id
        assert "it is trained again" in caplog.text
        caplog.clear()
    monkeypatch.setattr("noiseforge.evaluation.judge_cache.train_judge", None)
    again = judge_of(ring, cache=tmp_path)
    assert (again.id, again.accuracy) == (first.id, first.accuracy)


def test_a_judge_that_cannot_be_kept_still_judges(ring: Data, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert judge_of(ring, cache=tmp_path / "file").accuracy == 1.0


def test_the_label_of_a_stack_is_that_of_its_channels() -> None:
    digit = Judge(build_network((1, 8, 8), 10, torch.Generator().manual_seed(0)), 1.0, torch.device("cpu"))
    x = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    a, b, c = (digit.probabilities(digit.features(x[:, [i]])).argmax(1) for i in range(3))
    stacked = StackedJudge(digit)
    assert torch.equal(stacked.probabilities(stacked.features(x)).argmax(1), 100 * a + 10 * b + c)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 9), (4, 28, 28), (3, 64, 64), (1, 256, 256), (2,), (5,)])
def test_networks_for_any_size(shape: tuple[int, ...]) -> None:
    network = build_network(shape, 7, torch.Generator().manual_seed(0))
    again = build_network(shape, 7, torch.Generator().manual_seed(0))
    assert network(torch.ones(2, *shape)).shape == (2, 7)
    assert network.body[-3].weight.numel() < 1.1e6
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def test_extractors_by_name(digits: Data) -> None:
    x = digits.test.batch(torch.arange(3)).x
    random = extractor("random", digits)
    assert random.id == extractor("random", digits).id
    assert random.features(x).unique(dim=0).shape == (3, 128)
    assert torch.equal(extractor("pixels", digits).features(x), x.flatten(1).double())
    wide = digits._replace(spec=digits.spec.model_copy(update={"shape": (1, 64, 64)}))
    assert extractor("pixels", wide).id == "pixels-32"
    assert extractor("pixels", wide).features(torch.ones(2, 1, 64, 64)).shape == (2, 1024)
    with pytest.raises(UserError, match="did you mean 'judge'"):
        extractor("jugde", digits)


def test_data_without_labels_has_no_judge(digits: Data) -> None:
    nameless = digits._replace(spec=digits.spec.model_copy(update={"classes": ()}))
    assert default_features(nameless.spec) == "random"
    with pytest.raises(UserError, match="use features=random"):
        extractor("judge", nameless)


def test_inception_without_its_extra_names_it(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"noiseforge\[inception\], a torchvision"):
        extractor("inception", digits)
    with pytest.raises(UserError, match="grey or colour pictures"):
        extractor("inception", load_data("ring"))
