"""Which settings would act: one that is given and that no piece of the game reads is refused, with what does act in its
place, not passed over in silence.

A run that an older version recorded may hold such settings, and is opened as it was played: `build` reads what it needs
and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import constraints, networks, objectives
from ..core.names import find
from .build import (
    Networks,
    Settings,
    constraint_names,
    fill,
    make_networks,
    record_for,
    resolve_for,
    types_of,
    usual_for,
)
from .paper import Choice, Form, Paper, Piece, Record, choose, settings_of


def _exact(values: Settings) -> str:
    return "the policy's gradient is exact, and of no draws: exact=false" if values.get("exact") else ""


def _no_warm_up(values: Settings) -> str:
    return "" if values["warm"] else "there is no warm-up: warm=100, for one"


def _no_warm_steps(values: Settings) -> str:
    return "" if values["warm_steps"] or values["warm_every"] else "no step has the warm-up's turns: warm_steps=25"


def _uniform(values: Settings) -> str:
    return "negatives are drawn uniformly: negatives=live" if values["negatives"] == "uniform" else ""


def _no_start(values: Settings) -> str:
    return "" if values["start"] else "weights begin afresh: start=dns, or the path of a run"


UNREAD: dict[str, Callable[[Settings], str]] = {  # why a setting would not act beside the others; "" where it would
    **dict.fromkeys(("draws", "replace", "baseline", "is_lambda"), _exact),
    **dict.fromkeys(("warm_steps", "warm_every"), _no_warm_up),
    "warm": _no_warm_steps,
    "critic_temperature": _uniform,
    "critic_start": _no_start,
}


def check_read(
    paper: Paper,
    form: Form,
    settings: Settings,
    network: Networks = None,
    objective: str | None = None,
    bound: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> None:
    """Raises ValueError, with the way out, for the first setting that is given and would not act, and where the size of
    a batch is given twice."""
    for key, why in unread(paper, form, settings, network, objective, bound).items():
        raise ValueError(f"{key} would not act: {why}")
    if batch_size is not None and "batch_size" in settings:
        own = resolve_for(paper, record_for(paper, form, network), settings, network, bound)["batch_size"]
        if own != batch_size:
            raise ValueError(f"batch_size is given twice, {batch_size} and {own}: leave out one of the two")


def unread(
    paper: Paper,
    form: Form,
    settings: Settings,
    network: Networks = None,
    objective: str | None = None,
    bound: Sequence[str] | None = None,
) -> dict[str, str]:
    """Of the settings that are given and are not the defaults, those that would not act, and why."""
    record = record_for(paper, form, network)
    usual, values = (resolve_for(paper, record, some, network, bound) for some in ({}, settings))
    given = [key for key in settings if key not in usual or values[key] != usual[key]]
    maker = make_networks(record, network, values) if network is None or isinstance(network, str) else network
    filled = fill(values, usual_for(paper, maker))
    found = {}
    for key in given:
        why = _why_no_piece(paper, record, filled, key, objective, bound) or UNREAD.get(key, lambda _: "")(filled)
        if key == "rank" and record.network not in networks.RANKERS and not _bilinear(paper, filled, objective):
            why = "no head is bilinear here, as that of mcgan-cov is where form is primal"
        if why:
            found[key] = why
    return found


def _why_no_piece(
    paper: Paper, record: Record, values: Settings, key: str, objective: str | None, bound: Sequence[str] | None
) -> str:
    """Of a setting that pieces are made of, none of which is in play."""
    played: list[Piece] = [paper.draw, record.optimizer, *([paper.head] if paper.head else [])]
    played += [] if objective else [paper.objective]
    played += [] if bound is not None else paper.constraints
    read = {"batch_size"}.union(*(settings_of(piece, values) for piece in played))  # the game reads that, too
    if key in read or key not in paper.settings(record):
        return ""
    if bound is not None and any(key in settings_of(piece) for piece in paper.constraints):
        return f"it is of {paper.name}'s own constraint, in whose place there is {_describe(bound)}"
    if objective and key in settings_of(paper.objective):
        return f"it is of {paper.name}'s own objective, in whose place there is {objective}"
    pieces = (paper.objective, *paper.constraints)
    choice = next(piece for piece in pieces if isinstance(piece, Choice) and key in settings_of(piece))
    instead = ": rank says how many" if (key, values[choice.setting]) == ("k", "primal") else ""
    return f"it is not of {choice.setting}={values[choice.setting]}{instead}"


def _describe(bound: Sequence[str]) -> str:
    """Constraints with their own settings."""
    known = {name: find("constraint", name, constraints.TABLE) for name in constraint_names(bound)}
    own = [f"{name}.{key}" for name, kind in known.items() for key in types_of(kind)]
    return f"{' and '.join(known) or 'none'}{', with ' + ' and '.join(own) if own else ''}"


def _bilinear(paper: Paper, values: Settings, objective: str | None) -> bool:
    crossed = find("objective", objective, objectives.TABLE) if objective else None
    head = choose(paper.head, values) if paper.head else None
    return head is not None and head[0] == "bilinear" and not (crossed and crossed.features)
