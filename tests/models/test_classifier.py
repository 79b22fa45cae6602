"""The recurrent classifier: what it reads, that it learns, and what truncation costs."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from noiseforge.data.spec import Batch, Column, Spec
from noiseforge.errors import UserError
from noiseforge.models.classifier import Classifier
from noiseforge.models.player import Moment, Noise
from noiseforge.recipes.classifier_settings import ClassifierSettings

STEPS = 24
COLUMNS = (Column(name="a"), Column(name="b"))
SPEC = Spec(
    source="made", modality="sequence", shape=(STEPS, 2), classes=("up", "down"), columns=COLUMNS, fingerprint=""
)
SMALL = {"hidden": 8, "layers": 1}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Rises:
    """Series of 6 to 24 steps, some values missing, that rise or fall along their first feature."""

    def __init__(self, count: int, seed: int) -> None:
        self.spec, draws = SPEC, rng(seed)
        self.labels = torch.randint(2, (count,), generator=draws)
        self.length = torch.randint(6, STEPS + 1, (count,), generator=draws)
        place = torch.arange(STEPS)
        slope = 0.2 - 0.4 * self.labels.float()
        x = torch.randn(count, STEPS, 2, generator=draws) + 30
        x[:, :, 0] += slope[:, None] * place
        x[:, 1:][torch.rand(count, STEPS - 1, 2, generator=draws) < 0.1] = torch.nan
        self.x = x.masked_fill((place >= self.length[:, None])[:, :, None], 0)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(self.x[indices], self.labels[indices], self.length[indices])

    def all(self) -> Batch:
        return self.batch(torch.arange(len(self)))


def built(spec: Spec = SPEC, **settings: object) -> Classifier:
    model = Classifier(ClassifierSettings(**{**SMALL, **settings}), spec, rng())
    model.prepare(Rises(64, 1))
    return model


def terms(model: Classifier, batch: Batch, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    moment = Moment(Noise(rng(seed), torch.device("cpu")))
    (player,) = model.players()
    assert player.name == "classifier"
    return player.loss(batch, moment)["cross_entropy"], moment.notes


@pytest.mark.parametrize("settings", [{}, {"chunk": 4, "pooling": "last"}, {"truncate": 8}], ids=str)
def test_it_learns_ragged_series_with_gaps(settings: dict[str, object]) -> None:
    model, train, test = built(**settings), Rises(256, 1), Rises(256, 2)
    optimiser, draws = torch.optim.Adam(model.parameters(), lr=0.03), rng()
    for _ in range(60):
        loss, _ = terms(model, train.batch(torch.randint(256, (64,), generator=draws)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    told = model.health(test.all())
    assert told["accuracy"] > 0.9 and told["loss"] < 0.3
    assert told["chance"] == pytest.approx(max(test.labels.float().mean(), 1 - test.labels.float().mean()))


def test_the_loss_is_the_cross_entropy_of_what_is_predicted() -> None:
    model, batch = built(), Rises(20, 3).all()
    loss, notes = terms(model, batch)
    probability = model.predict_proba(batch.x, batch.length)
    assert loss.item() == pytest.approx(float(cross_entropy(probability.log(), batch.y)), abs=1e-5)
    assert float(notes["accuracy"]) == float((probability.argmax(1) == batch.y).float().mean())


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "mean_max"])
def test_truncation_at_the_whole_length_is_none(pooling: str, chunk: int) -> None:
    settings = {"pooling": pooling, "chunk": chunk, "dropout": 0.3, "layers": 2, "corrupt": ("", "snr:3", "drop:0.1")}
    batch, found = Rises(20, 3).all(), []
    for truncate in (None, STEPS):
        model = built(truncate=truncate, **settings)
        loss, _ = terms(model, batch)
        found.append((loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=1e-5)


def test_what_is_predicted_depends_on_no_padding_no_neighbour_and_no_piece() -> None:
    batch = Rises(5, 3).all()
    for settings in ({"bidirectional": True}, {"truncate": 4}, {"chunk": 3}):
        model = built(**settings)
        together = model.predict_proba(batch.x, batch.length)
        for row, length in enumerate(batch.length.tolist()):
            alone = model.predict_proba(batch.x[row : row + 1, :length])
            torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)
    plain, cut = built(), built(truncate=4)
    torch.testing.assert_close(cut.predict_proba(*batch[::2]), plain.predict_proba(*batch[::2]), atol=1e-5, rtol=0)


def test_features_are_centred_and_flags_say_what_is_known() -> None:
    assert not built().flagged and built(corrupt=("drop:0.5",)).flagged
    gappy = SPEC.model_copy(update={"columns": (COLUMNS[0], Column(name="b", missing=True))})
    model, data = built(gappy), Rises(64, 1)
    seen, _ = model.features(data.x, data.length)
    assert seen.shape == (64, STEPS, 4) and seen.isfinite().all()
    there = seen[..., 2:].bool()
    assert torch.equal(there, ~data.x.isnan() & (torch.arange(STEPS) < data.length[:, None])[:, :, None])
    assert not seen[..., :2][~there].any()
    for feature in range(2):
        assert float(seen[..., feature][there[..., feature]].mean()) == pytest.approx(0, abs=1e-4)
    assert float(seen[..., :2][there].square().mean()) == pytest.approx(1, abs=1e-3)


def test_each_example_meets_one_of_the_corruptions() -> None:
    model, batch = built(corrupt=("", "snr:0")), Rises(400, 3).all()
    moved = (model._corrupted(batch, Moment(Noise(rng(), torch.device("cpu")))) - batch.x).nan_to_num().flatten(1)
    assert 0.4 < float(moved.any(1).float().mean()) < 0.6


def test_gradients_of_a_plain_network_fade_and_those_of_a_forgetful_gate_do_not() -> None:
    batch = Batch(torch.randn(8, 64, 2, generator=rng()), torch.zeros(8, dtype=torch.int64))
    spec = SPEC.model_copy(update={"shape": (64, 2)})
    plain, kept = (
        built(spec, cell=cell, hidden=32, chrono=chrono) for cell, chrono in (("rnn", False), ("lstm", True))
    )
    with torch.no_grad():
        plain.reader.layers[0].forwards.weight_hh_l0.mul_(0.5)
    fading, reaching = plain.gradient_reach(batch), kept.gradient_reach(batch)
    assert len(fading) == len(reaching) == 7  # 0, 1, 2, ..., 32
    assert fading[-1] / fading[0] < 1e-9 and reaching[-1] / reaching[0] > 1e-3
    x = batch.x.clone().requires_grad_()
    last = plain.reader(plain.features(x, None)[0]).outputs[:, -1]
    loss = cross_entropy(plain.head(torch.cat([last, last], 1)), batch.y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    assert fading[3] == pytest.approx(float(gradient[:, 63 - 4].norm(dim=1).mean()), rel=1e-4)


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(UserError, match="kind=classifier is of sequences"):
        built(SPEC.model_copy(update={"modality": "audio"}))
    with pytest.raises(UserError, match="has no labels"):
        built(SPEC.model_copy(update={"classes": ()}))
    with pytest.raises(UserError, match=r"takes sequences \(N, T, 2\), got \(3, 4, 5\)"):
        built().predict_proba(torch.zeros(3, 4, 5))
    for wrong in (
        {"truncate": 8, "bidirectional": True},
        {"truncate": 9, "chunk": 2},
        {"dilations": (1, 2)},
        {"cell": "rnn", "chrono": True},
    ):
        with pytest.raises(ValueError, match=r"truncate|dilations|chrono"):
            ClassifierSettings(**{**SMALL, **wrong})


def test_memory_does_not_grow_with_the_length_of_a_sequence() -> None:
    """By the bytes that torch holds for the graph: the largest tensor saved for a backward pass."""
    most = []
    for steps in (400, 4000):
        model = built(SPEC.model_copy(update={"shape": (steps, 2)}), truncate=100, pooling="mean")
        batch = Batch(torch.randn(2, steps, 2, generator=rng()), torch.tensor([0, 1]))
        saved: list[int] = []

        def keep(tensor: Tensor, saved: list[int] = saved) -> Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss, _ = terms(model, batch)
        assert math.isfinite(loss.detach())
        most.append(max(saved))
    assert most[0] == most[1]
