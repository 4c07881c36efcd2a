"""The legs of a run: what it was played with, and from which step on with something else.

Where a run ends follows from its plan, as long as it is played alike from its first step to its last. Three things may
be others when it goes on: the length of the rates' schedule, which only words can change; the engine and the machine,
whose numbers agree to rounding alone; and, compiled, the last step, since what is left of a piece is played eagerly.
Each such leg is recorded, and told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .plan import Plan, command, read_plan

Leg = dict[str, Any]  # "from": its first step, "steps": the last of the run as it was then asked for, and its `KEYS`
KEYS = ("lr_schedule_steps", "engine", "device", "ranks", "torch")


def settle_schedule(plan: Plan, old: Mapping[str, Any] | None, factor: Callable[[int, int], float]) -> Plan:
    """The plan with the length of its rates' schedule settled: what is asked for, else that of the run it goes on
    from, whose facts are old, else the run's own.

    factor: (step, length) -> on the rates. Raises ValueError where a run is to go past the end of its schedule and the
    rates that it has played are not those of the longer one.
    """
    length = plan.lr_schedule_steps
    if not length and old is None:
        length = plan.steps
    elif not length:
        length = read_plan(old["plan"]).lr_schedule_steps  # type: ignore[index]
        past = plan.steps > length
        if past and any(factor(step, length) != factor(step, plan.steps) for step in range(plan.steps)):
            raise ValueError(
                f"the learning rates of this run follow a schedule of {length} steps: to go on to step {plan.steps} "
                f"say --lr-schedule-steps {length} (they stay where it ends) or --lr-schedule-steps {plan.steps} (from "
                f"here on as in a run of {plan.steps})"
            )
    return dataclasses.replace(plan, lr_schedule_steps=length)


def read_legs(facts: Mapping[str, Any]) -> list[Leg]:
    """The legs of a run as it wrote them down; of an older version, which did not, the one that it knew of."""
    if "legs" in facts:
        return [dict(leg) for leg in facts["legs"]]
    plan = read_plan(facts["plan"])
    played = {key: facts.get(key, default) for key, default in (("engine", "eager"), ("device", "cpu"), ("ranks", 1))}
    torch = facts.get("versions", {}).get("torch")
    return [{"from": 0, "steps": plan.steps, "lr_schedule_steps": plan.lr_schedule_steps, **played, "torch": torch}]


def go_on(legs: Sequence[Leg], new: Leg) -> tuple[list[Leg], list[str]]:
    """The legs with a new one, which is the last one's continuation where nothing has changed that may change numbers;
    and what has changed, in words. Legs that are played again are forgotten."""
    if legs and new["from"] >= new["steps"]:
        return [dict(leg) for leg in legs], []  # nothing is left to play
    before = [dict(leg) for leg in legs if leg["from"] < new["from"]]
    if not before:
        return [new], []
    last = before[-1]
    changed = [f"{key} {new[key]} (was {last[key]})" for key in KEYS if last[key] != new[key]]
    if not changed and new["engine"] != "eager" and last["steps"] != new["steps"]:
        changed = [f"steps {new['steps']} (was {last['steps']})"]
    if changed:
        return [*before, new], changed
    return [*before[:-1], {**last, "steps": new["steps"]}], []


def commands(plan: Plan, out: Path, source: Any, legs: Sequence[Leg]) -> str:
    """What plays this run again, leg by leg; "" for a Game."""
    if plan.paper is None:
        return ""
    found = []
    for leg, after in zip(legs, [*legs[1:], None], strict=True):
        changes = {"steps": after["from"] if after else plan.steps, "lr_schedule_steps": leg["lr_schedule_steps"]}
        if len(legs) > 1:
            changes["engine"] = leg["engine"]
        text = command(dataclasses.replace(plan, **changes), out, source)
        if leg["from"] and changes["lr_schedule_steps"] == changes["steps"]:
            text += f" --lr-schedule-steps {changes['steps']}"  # past the end of the leg before
        found.append(text + " --resume" if leg["from"] else text)
    return " && ".join(found)
