"""The laws: every theorem of the family, run and measured on the machine at hand.

>>> import ganzfeld as gz
>>> proof = gz.laws.run("optimal-critic")
>>> proof.holds, proof.residual, proof.tolerance

One file per law: its formula and source, and a function that measures it against an independent oracle and gives the
data of one figure; what a page says of it, in each language, lies in ``texts/``. A new law is one file, its texts, and
one line in `LAWS`.
"""

from __future__ import annotations

from ..core.names import find
from . import (
    disjoint_supports,
    dynamics,
    f_divergences,
    gradient_penalty,
    hyperplane,
    inference,
    jensen_shannon,
    kantorovich_rubinstein,
    moments,
    non_saturating,
    optimal_critic,
    policy_gradient,
    saturation,
    spectral_norm,
    transposed_convolution,
    weight_clipping,
)
from .law import Check, Law, Line, Panel, Proof, exact_arithmetic

__all__ = ["LAWS", "Check", "Law", "Line", "Panel", "Proof", "run"]

LAWS: dict[str, Law] = {
    module.LAW.name: module.LAW
    for module in (
        optimal_critic, jensen_shannon, saturation, non_saturating, disjoint_supports, kantorovich_rubinstein,
        weight_clipping, gradient_penalty, spectral_norm, moments, hyperplane, f_divergences, transposed_convolution,
        inference, policy_gradient, dynamics,
    )
}  # fmt: skip


def run(name: str, fast: bool = False) -> Proof:
    """Measures one law: the same numbers at every call. fast: smaller, with the same claims.

    Raises ValueError for a name that no law has.
    """
    law = find("law", name, LAWS)
    with exact_arithmetic():
        checks, panels = law.prove(fast)
    return Proof(law.name, checks, panels)
