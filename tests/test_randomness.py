"""Chance is dealt: a function of seed, role, name and turn, and of nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganzfeld.core import randomness
from ganzfeld.core.randomness import Need, NoiseDealer, global_seed, latents

NEEDS = {"critic": {"z": Need("normal", (3,)), "mix": Need("uniform", ())}, "generator": {"z": Need("normal", (3,))}}


def dealer(seeds=(5,), batch=8, rows=20, share=(0, 1)):
    return NoiseDealer(NEEDS, seeds, batch, rows, share)


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr(randomness, "BLOCK_NUMBERS", 8 * 3 * 4)  # four turns of z


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_pieces_are_cut_from_one_deal(cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(randomness, "BLOCK_NUMBERS", 8 * 3 * 4)
        whole, piecewise, turn = dealer(), dealer(), 0
        parts = []
        for turns in cuts:
            parts.append((piecewise.noise("critic", turn, turns), piecewise.order("critic", turn, turns)))
            turn += turns
        everything = whole.noise("critic", 0, turn)
        for name in ("z", "mix"):
            assert torch.equal(torch.cat([part[name] for part, _ in parts], 1), everything[name])
        assert torch.equal(torch.cat([order for _, order in parts], 1), whole.order("critic", 0, turn))


def test_a_resumed_run_meets_the_noise_it_would_have_met(short_blocks):
    whole = dealer().noise("critic", 0, 11)
    fresh = dealer().noise("critic", 7, 4)
    assert torch.equal(fresh["z"], whole["z"][:, 7:])


def test_a_member_meets_the_noise_of_its_seed_alone(short_blocks):
    together = dealer((5, 6, 9))
    for i, seed in enumerate((5, 6, 9)):
        alone = dealer((seed,))
        assert torch.equal(together.noise("critic", 2, 6)["z"][i], alone.noise("critic", 2, 6)["z"][0])
        assert torch.equal(together.order("critic", 2, 6)[i], alone.order("critic", 2, 6)[0])


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_hold_together_what_one_process_holds(short_blocks, ranks):
    shares = [dealer(share=(rank, ranks)) for rank in range(ranks)]
    assert torch.equal(
        torch.cat([s.noise("critic", 1, 6)["z"] for s in shares], 2), dealer().noise("critic", 1, 6)["z"]
    )
    assert torch.equal(torch.cat([s.order("critic", 1, 6) for s in shares], 2), dealer().order("critic", 1, 6))


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="equal shares to 3 ranks"):
        dealer(share=(0, 3))


def test_every_row_is_dealt_once_an_epoch_and_epochs_differ():
    dealt = dealer(batch=5, rows=20).order("critic", 0, 8).flatten()
    first, second = dealt[:20], dealt[20:]
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(20))
    assert not torch.equal(first, second)


def test_a_batch_larger_than_the_data_reads_rows_again():
    order = dealer(batch=50, rows=20).order("critic", 0, 1).flatten()
    assert order.bincount(minlength=20).tolist() in ([[2 + (i in order[40:].tolist()) for i in range(20)]])


def test_seeds_roles_names_and_turns_have_independent_streams():
    one = dealer((5, 6))
    critic, generator = one.noise("critic", 0, 2)["z"], one.noise("generator", 0, 2)["z"]
    draws = [critic[0, 0], critic[0, 1], critic[1, 0], generator[0, 0]]
    for i, x in enumerate(draws):
        for y in draws[:i]:
            assert not torch.equal(x, y)
    assert randomness.generator(1, "a").initial_seed() != randomness.generator(1, "b").initial_seed()


def test_laws_are_the_ones_asked_for():
    from scipy.stats import kstest

    dealt = dealer(batch=500).noise("critic", 0, 4)
    assert kstest(dealt["z"].flatten().numpy(), "norm").pvalue > 1e-3
    assert kstest(dealt["mix"].flatten().numpy(), "uniform").pvalue > 1e-3
    assert kstest(dealt["z"].flatten().numpy(), "uniform").pvalue < 1e-9


def test_a_row_of_latents_depends_on_seed_and_place_alone():
    need = Need("normal", (3,))
    assert torch.equal(latents(need, 4, 200)[:7], latents(need, 4, 7))
    assert not torch.equal(latents(need, 4, 7), latents(need, 5, 7))


def test_torchs_own_dice_are_left_as_they_were():
    before = torch.get_rng_state()
    with global_seed(1, "weights"):
        inside = torch.randn(3)
    assert torch.equal(torch.get_rng_state(), before)
    with global_seed(1, "weights"):
        assert torch.equal(torch.randn(3), inside)
