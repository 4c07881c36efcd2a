"""What is kept of a run of rankers while it trains: the weights it starts from and those that validation selects, what
users have, and the table at the end."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from safetensors.torch import save
from torch import Tensor

from ..core import disk, tree
from ..core.tree import Tree
from ..data import Interactions, Rankings
from ..runs import checkpoints, files
from ..runs.task import Keeper
from .questions import SELECTOR, make_question

HISTORY_FILE, IDS_FILE, TABLE_FILE = "interactions.safetensors", "ids.json", "ranking.json"


def describe_steps(steps: Sequence[int]) -> str:
    """The steps at which members were selected; step 0 is the start, which the game has not played."""
    low, high, kept = min(steps), max(steps), sum(step == 0 for step in steps)
    if not high:
        return "0 (start)"
    some = f" ({kept} of {len(steps)} the start)" if kept else ""
    return (f"{low}-{high}" if low < high else f"{low}") + some


class Shortlist(Keeper):
    """Of one run, in its directory."""

    def __init__(self, run: Any, data: Rankings):
        super().__init__(run, data)
        if isinstance(data, Interactions):
            parts = {part: getattr(data, part).contiguous() for part in ("train", "valid") if len(getattr(data, part))}
            parts["touched"] = data.touched.contiguous()
            history = save(parts)
            disk.replace(run.directory / HISTORY_FILE, history)
            known = {"users": data.users, "items": data.items, "history": hashlib.sha256(history).hexdigest()}
            files.write_signed(run.directory / IDS_FILE, known)
        self.selects = bool(data.sizes()["valid"])
        self.unselected: dict[str, Any] = {}  # the metrics of the judged step that is not yet selected from
        self.best: dict[str, list[float]] = {name: [-math.inf] * run.members for name in run.rankers}
        if run.selected:  # a resumed run goes on from what it had
            asked = make_question(data, "valid")
            for name in run.rankers:
                tables = (run.candidate_scores(data, "valid", name, i, "selected") for i in range(run.members))
                self.best[name] = [asked.judge(scores, (SELECTOR,))[SELECTOR] for scores in tables]

    def observe(self, state: Tree) -> dict[str, float]:
        return self.run.observe(state, self.data)

    def judge(self) -> dict[str, Any]:
        """Rankers on the validation part, by which they are selected; without one, on the test part."""
        found = self.run.judgement(self.data, part="valid" if self.selects else "test")
        self.unselected = found["metrics"]
        return found

    def keep(self, step: int) -> None:
        """Keep the weights of every ranker that has never ranked the validation part so well."""
        run = self.run
        if not step:
            self._keep_start()
        if not self.selects:
            return
        if not run.selected:
            run.selected = [{"params": dict(state["params"])} for state in run.states]
            run.steps = {name: [step] * run.members for name in run.rankers}
        found, self.unselected, better = self.unselected or self.judge()["metrics"], {}, False
        for name in run.rankers:
            for i, value in enumerate(found[f"{run.prefix_of(name)}{SELECTOR}"]["per_member"]):
                if value > self.best[name][i]:
                    self.best[name][i], better = value, True
                    run.steps[name][i] = step
                    run.selected[i]["params"][name] = tree.map(Tensor.clone, run.states[i]["params"][name])
        if better:
            checkpoints.save_selected(run.directory, run.selected, run.steps, run.facts["identity"])

    def _keep_start(self) -> None:
        run = self.run
        weights = [state["params"][run.rankers[0]] for state in run.states]
        run.first = [tree.map(lambda leaf: leaf.contiguous().clone(), one) for one in weights]
        checkpoints.save_first(run.directory, run.first, run.facts["identity"])

    def finish(self, step: int) -> None:
        """The table of rankers on the test part."""
        closed_form = isinstance(self.data, Interactions)  # what labels teach takes seconds: judge is asked for it
        found = self.run.judgement(self.data, baselines=closed_form)
        files.write_json(self.run.directory / TABLE_FILE, {"step": step, **found})
