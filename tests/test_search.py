"""The search for what goes wrong at the edges finds nothing: see `search`, whose counts ``-s`` shows."""

import pytest

from search import hunts

FEW = {"crossings": (0, 1, 2), "mutations": (4, 7), "kills": (3,), "streams": (183,)}


def test_a_few_cases_of_every_hunt_find_nothing():
    for tally in hunts.play(FEW, cores=1):
        assert not tally.faults, tally


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", hunts.HUNTS)
def test_the_whole_search_finds_nothing(name):
    (tally,) = hunts.play({name: None})
    print(tally)
    assert not tally.faults, tally
