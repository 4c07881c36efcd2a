"""One battery over every planted fault: the law that guards what is broken fails, in the checks that are named."""

import pytest

from faults import FAULTS
from ganzfeld import divergences, laws, objectives
from ganzfeld.laws import f_divergences, hyperplane


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.law}: {fault.what}")
def test_law_fails_under_a_planted_fault(fault, monkeypatch):
    """The law holds without the fault: the battery of all laws says so."""
    fault.plant(monkeypatch)
    failed = [check.what for check in laws.run(fault.law, fast=True).checks if not check.holds]
    assert [words for words in fault.checks if not any(words in what for what in failed)] == [], failed


def test_every_law_has_faults_that_it_sees():
    assert {fault.law for fault in FAULTS} == set(laws.LAWS)
    assert all(sum(len(fault.checks) for fault in FAULTS if fault.law == name) >= 3 for name in laws.LAWS)


def test_every_objective_of_scores_has_its_factors_written_down():
    bounds = [f"fgan-{name}" for name in hyperplane.BOUNDS]
    named = {*hyperplane.UNPAIRED, *hyperplane.PAIRED, *bounds, *(f"{name}-alternative" for name in bounds)}
    assert named == {name for name, objective in objectives.TABLE.items() if not objective.features}


def test_every_row_of_the_divergences_is_measured():
    assert set(f_divergences.NAMES) == set(divergences.TABLE)
