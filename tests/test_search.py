"""The search for what goes wrong at the edges finds nothing: see `search`. Its counts are printed by ``-s``."""

import pytest

from search import hunts

FEW = {  # cases that share what they need
    "crossings": range(4),
    "mutations": (),
    "kills": (),
    "streams": (),
}


def test_a_few_cases_of_every_hunt_find_nothing():
    for tally in [found for name, numbers in FEW.items() for found in hunts.tallies([name], numbers)]:
        assert not tally.faults, tally


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", hunts.HUNTS)
def test_the_whole_search_finds_nothing(name):
    (tally,) = hunts.tallies([name])
    print(tally)
    assert not tally.faults, tally
