"""Every fault that a law must see, law by law."""

from . import games, geometry, lipschitz, original
from .planted import Fault

__all__ = ["FAULTS", "Fault"]

FAULTS = [*original.FAULTS, *lipschitz.FAULTS, *geometry.FAULTS, *games.FAULTS]
