"""Planted faults: what must make a law fail, and which of its checks must see it."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from ganzfeld import laws


class Fault(NamedTuple):
    """plant(monkeypatch) breaks the package; check: words of a check that fails then."""

    law: str
    what: str
    plant: Callable[[pytest.MonkeyPatch], None]
    check: str


def patched(module, name: str, wrong) -> Callable[[pytest.MonkeyPatch], None]:
    """Plants something wrong under a name."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, wrong)


def names(fault: Fault) -> str:
    return f"{fault.law}: {fault.what}"


def bites(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The law holds without the fault (the battery of all laws says so) and fails with it, in that check."""
    fault.plant(monkeypatch)
    proof = laws.run(fault.law, fast=True)
    failed = [check.what for check in proof.checks if not check.holds]
    assert not proof.holds
    assert any(fault.check in what for what in failed), failed
