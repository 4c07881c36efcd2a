"""The laws: every theorem of the family, run and measured on the machine at hand.

>>> import ganzfeld as gz
>>> proof = gz.laws.run("optimal-critic")
>>> proof.holds, proof.residual, proof.tolerance

One file per law: its text, its statement and source, what it assumes, and a function that measures it against an
independent oracle and gives the data of one figure. A new law is one file and one line in `LAWS`.
"""

from __future__ import annotations

import difflib

from . import optimal_critic
from .law import Check, Law, Line, Panel, Proof, exact

__all__ = ["LAWS", "Check", "Law", "Line", "Panel", "Proof", "run"]

LAWS: dict[str, Law] = {module.LAW.name: module.LAW for module in (optimal_critic,)}


def find(name: str) -> Law:
    """The law of a name; raises ValueError with the nearest one where there is none."""
    if name in LAWS:
        return LAWS[name]
    near = difflib.get_close_matches(name, LAWS, 1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(LAWS)}"
    raise ValueError(f"no law is called {name!r}{hint}")


def run(name: str, fast: bool = False) -> Proof:
    """Measures one law: the same numbers at every call. fast: smaller, with the same claims.

    Raises ValueError for a name that no law has.
    """
    law = find(name)
    with exact():
        checks, panels = law.prove(fast)
    return Proof(law.name, checks, panels)
