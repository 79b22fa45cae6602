"""Threads that share rows: each computes by itself, and the others of the process are left as they were."""

import pytest
import torch

from noiseforge.networks.sequence import slices


def test_threads_that_share_rows_do_not_start_threads_of_their_own() -> None:
    """Their first product asks how many threads there are, and would be told the number of the main one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pool = slices._pool.__wrapped__(2)
        product = torch.ones(300, 300)
        assert list(pool.map(lambda _: (product @ product, torch.get_num_threads())[1], range(8))) == [1] * 8
        assert torch.get_num_threads() == 2
    finally:
        pool.shutdown()
        torch.set_num_threads(before)


def test_slices_are_as_many_as_threads_where_rows_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert slices._rows(64, 32) == [slice(0, 32), slice(32, 64)]
    assert slices._rows(4, 32) == [slice(0, 4)]
