"""Planted faults: what must make a law fail, and which of its checks must see it."""

from collections.abc import Callable

import pytest

from ganzfeld import objectives

Plant = Callable[[pytest.MonkeyPatch], None]


class Fault:
    """plant(monkeypatch) breaks the package; checks: words of each check that fails then."""

    def __init__(self, law: str, what: str, plant: Plant, *checks: str) -> None:
        self.law, self.what, self.plant, self.checks = law, what, plant, checks


def patched(module, name: str, wrong) -> Plant:
    """Plants something wrong under a name."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, wrong)


def altered(name, **parts):
    """An objective of the table with some parts replaced, under its name and in the table."""

    def plant(monkeypatch):
        wrong = objectives.TABLE[name]._replace(**parts)
        monkeypatch.setattr(objectives, name.replace("-", "_"), wrong)
        monkeypatch.setitem(objectives.TABLE, name, wrong)

    return plant


minimax = objectives.minimax.critic
half_a_fake = altered("minimax", critic=lambda real, fake: minimax(real, fake / 2))
