"""Bites of the laws of the original game: a fault in what each guards makes it fail."""

import pytest

from ganzfeld import metrics, objectives
from planted import Fault, bites, names


def halved_fake_side(monkeypatch):
    minimax = objectives.minimax
    wrong = minimax._replace(critic=lambda real, fake: minimax.critic(real, fake / 2))
    monkeypatch.setattr(objectives, "minimax", wrong)


def jensen_shannon_without_its_mixture(monkeypatch):
    monkeypatch.setattr(metrics, "optimal_discriminator_value", metrics.total_variation)


FAULTS = [
    Fault("optimal-critic", "half a fake score", halved_fake_side, "argmax"),
    Fault("optimal-critic", "half a fake score, trained", halved_fake_side, "trained on four atoms: D"),
    Fault("optimal-critic", "another distance", jensen_shannon_without_its_mixture, "-log 4 + 2 JS"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=names)
def test_law_fails_under_a_planted_fault(fault, monkeypatch):
    bites(fault, monkeypatch)
