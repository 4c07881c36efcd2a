"""A law: what the family's theory claims, and what shows on this machine whether it holds here.

A claim is proved by *checks*: a number that this package computes beside the same number from somewhere else (a closed
form, a quadrature, a linear program, another library, an enumeration), and how far apart they may be. A check says what
would have to be true, so it can fail: a planted fault in the code that a law guards makes it fail.

Laws are mathematics: they run in float64 on one thread, with seeded chance, and give the same numbers every time.
"""

from __future__ import annotations

import ast
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..core import disk
from ..core.randomness import global_seed

Mark = Literal["line", "dashes", "dots", "bars"]


class Check(NamedTuple):
    """One number beside its oracle.  residual: how far the claim is from being true;
    tolerance: how far it may be."""

    what: str
    value: float
    truth: float
    residual: float
    tolerance: float
    sign: Literal["=", "<=", ">="] = "="

    @property
    def holds(self) -> bool:
        return self.residual <= self.tolerance  # nan never is

    @property
    def strain(self) -> float:
        """The residual in units of its tolerance: of several checks the one with the largest speaks for the law."""
        if not self.residual > 0:
            return math.inf if math.isnan(self.residual) else 0.0
        return self.residual / self.tolerance if self.tolerance else math.inf


def near(what: str, value: Tensor | float, truth: Tensor | float, tolerance: float) -> Check:
    """The two are equal. Of tensors, which are broadcast, the entry that is furthest off is shown."""
    values, truths = torch.broadcast_tensors(_numbers(value), _numbers(truth))
    values, truths = values.flatten(), truths.flatten()
    gaps = torch.where(values == truths, 0.0, (values - truths).abs())  # infinities that agree are equal
    worst = int(torch.where(gaps.isnan(), math.inf, gaps).argmax())
    return Check(what, float(values[worst]), float(truths[worst]), float(gaps[worst]), tolerance)


def below(what: str, value: Tensor | float, bound: float, tolerance: float = 0.0) -> Check:
    """No entry is above the bound."""
    worst = float(_numbers(value).max())  # of entries that hold nan, nan
    return Check(what, worst, bound, max(0.0, worst - bound) if worst == worst else math.nan, tolerance, "<=")


def above(what: str, value: Tensor | float, bound: float, tolerance: float = 0.0) -> Check:
    """No entry is below the bound."""
    worst = float(_numbers(value).min())
    return Check(what, worst, bound, max(0.0, bound - worst) if worst == worst else math.nan, tolerance, ">=")


def _numbers(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).detach()


class Line(NamedTuple):
    """A curve, points, or bars that stand on zero. A y of nan lifts the pen."""

    label: str
    x: Sequence[float] | Tensor
    y: Sequence[float] | Tensor
    mark: Mark = "line"


class Panel(NamedTuple):
    """x, y: what the axes are. log_x, log_y: logarithmic axes. plane: one unit is as long on both axes. levels:
    horizontal lines at values known beforehand, (value, label). low, high: natural ends of the vertical axis."""

    x: str
    y: str
    lines: tuple[Line, ...]
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    plane: bool = False
    levels: tuple[tuple[float, str], ...] = ()
    low: float | None = None
    high: float | None = None


Evidence = tuple[tuple[Check, ...], tuple[Panel, ...]]


@dataclass(frozen=True)
class Law:
    """A theorem and its measurement; what the page says of it lies in ``texts/``, in each language, under its name.
    formula: in LaTeX. prove(fast): the checks and the figure's panels; fast: smaller, with the same claims.
    """

    name: str
    formula: str
    source: str
    prove: Callable[[bool], Evidence]

    def __repr__(self) -> str:
        """What it says and where it is from, in two lines."""
        return f"Law {self.name}: {self.formula}\n  {self.source}"


def law(name: str, text: str | None, prove: Callable[[bool], Evidence]) -> Law:
    """text: of the module that proves it: a title, the formula below ``.. math::``, and ``Source:``. Where Python was
    told to leave docstrings out (``-OO``) it is read where it is written."""
    if text is None:
        text = ast.get_docstring(ast.parse(disk.read_text(Path(prove.__code__.co_filename))))
    _, formula, source = (" ".join(part.split()) for part in (text or "").strip().split("\n\n"))
    return Law(name, formula.removeprefix(".. math:: "), source.removeprefix("Source: ").removesuffix("."), prove)


@dataclass(frozen=True)
class Proof:
    """What a law measured. It holds if every check does; the one under the greatest strain gives residual and
    tolerance."""

    name: str
    checks: tuple[Check, ...]
    panels: tuple[Panel, ...]

    def __repr__(self) -> str:
        """What came of it, in two lines."""
        verdict = f"{len(self.checks)} checks, residual {self.residual:.2g} of {self.tolerance:.2g} at the tightest"
        return f"Proof of {self.name}: {'holds' if self.holds else 'FAILS'}\n  {verdict}"

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def worst(self) -> Check:
        return max(self.checks, key=lambda check: check.strain)

    @property
    def residual(self) -> float:
        return self.worst.residual

    @property
    def tolerance(self) -> float:
        return self.worst.tolerance


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Inside, new tensors are float64, one thread adds up in one order, and global dice are always the same; outside
    all three are left as they were."""
    kind, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    try:
        with global_seed("laws"):
            yield
    finally:
        torch.set_default_dtype(kind)
        torch.set_num_threads(threads)
