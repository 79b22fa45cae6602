import pytest
import torch

from noiseforge.data.split import Order, stratified, subset_per_class
from noiseforge.errors import UserError


@pytest.mark.parametrize("n", [1, 3, 10, 64])
@pytest.mark.parametrize("step", [1, 7, 64])
def test_order_is_the_same_however_it_is_cut(n, step):
    whole = Order(n, seed=3).take(0, 192)
    order = Order(n, seed=3)
    assert torch.equal(torch.cat([order.take(at, min(step, 192 - at)) for at in range(0, 192, step)]), whole)
    assert torch.equal(Order(n, seed=3).take(100, 50), whole[100:150])
    epochs = whole[: 192 // n * n].reshape(-1, n)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(n).expand_as(epochs))


def test_order_differs_by_seed_and_epoch():
    first, second = Order(100, seed=0).take(0, 200).reshape(2, 100)
    assert not torch.equal(first, second)
    assert not torch.equal(first, Order(100, seed=1).take(0, 100))
    assert len(Order(5, seed=0).take(9, 0)) == 0


def test_stratified_holds_out_the_share_of_each_class():
    labels = torch.arange(3).repeat_interleave(torch.tensor([100, 50, 10]))
    kept, held = stratified(labels, fraction=0.2, seed=0)
    assert torch.bincount(labels[held]).tolist() == [20, 10, 2]
    assert torch.equal(torch.cat([kept, held]).sort().values, torch.arange(160))
    assert torch.equal(held, stratified(labels, fraction=0.2, seed=0)[1])
    assert not torch.equal(held, stratified(labels, fraction=0.2, seed=1)[1])


@pytest.mark.parametrize(("labels", "held_labels"), [([0, 0, 0, 1], [0]), ([0, 0, 1, 1, 1], [0, 1]), ([0, 1, 2], None)])
def test_small_classes_stay_in_training(labels, held_labels):
    kept, held = stratified(torch.tensor(labels), fraction=0.1, seed=0)
    assert len(kept) + len(held) == len(labels)
    if held_labels is None:
        assert len(held) == 1
    else:
        assert torch.tensor(labels)[held].tolist() == held_labels


def test_subset_per_class_counts_and_refuses():
    labels = torch.tensor([0, 1] * 10)
    chosen = subset_per_class(labels, 4, classes=("a", "b"), seed=0)
    assert torch.bincount(labels[chosen]).tolist() == [4, 4]
    with pytest.raises(UserError, match=r"class 'a' has 10"):
        subset_per_class(labels, 11, classes=("a", "b"), seed=0)
