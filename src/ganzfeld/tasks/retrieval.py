"""A run of retrieval: rankers that a game has trained, judged, and used for lists.

Two sets of weights are kept. *Final* are those of the last step; *selected* are, for each ranker, those of the judged
step, the start among them, that ranked the validation part best, by `CHOSEN`. The test part is looked at when a run is
judged, and chooses nothing. A run whose data have no validation part has selected nothing: its final weights stand in.

Of items all are candidates but those that the user is known to have: of the training part, and in the test of the
validation part as well. Of documents, those of the query; a query without a relevant one counts as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..core import tree
from ..core.tree import Tree
from ..data import Data, Interactions, Letor, Rankings
from ..data.samples.rows import Part
from ..draws import Retrieve
from ..game import Game
from ..judging import judges
from ..judging.baselines import closed_form, supervised
from ..metrics import ranking
from ..runs import checkpoints, files, plan
from .generation import Played

KS = (1, 3, 5, 10)
CHOSEN = "ndcg@10"
NAMES = (*(f"{name}@{k}" for name in ("p", "ndcg") for k in KS), "map", "mrr")
State = Literal["selected", "final"]
LARGEST = 6_000  # items for which the rankers in closed form are worked out: they take the cube of it
HISTORY, KEPT_IDS = "interactions.safetensors", "ids.json"


class Question(NamedTuple):
    """What rankers are judged by: gains and candidates [Q, D] of a part, and how queries without gains count."""

    gains: Tensor
    candidates: Tensor
    empty: ranking.Empty

    def judge(self, scores: Tensor, names: Sequence[str] = NAMES) -> dict[str, float]:
        """The means over queries."""
        whole = bool({"map", "mrr"} & set(names))
        found = ranking.judge(scores, *self[:2], ks=KS, empty=self.empty, whole=whole)
        return {name: found[name] for name in names}

    def per_query(self, scores: Tensor) -> dict[str, Tensor]:
        """[Q] each; nan for queries that are not counted."""
        return ranking.per_query(scores, *self[:2], ks=KS, empty=self.empty)

    @property
    def counted(self) -> int:
        return int(ranking.answerable(*self[:2]).sum()) if self.empty == "excluded" else len(self.gains)


def question(data: Rankings, part: Part) -> Question:
    """Of a part of the data."""
    if isinstance(data, Interactions):
        seen = data.matrix("train") | data.matrix("valid") if part == "test" else data.matrix("train")
        return Question(data.matrix(part).float(), ~seen, "excluded")
    _, gains, candidates = data.part(part).padded()
    return Question(gains, candidates, "zero")


class Retrieval(Played):
    """A played run of retrieval. member picks one of its population, counted from 0; ranker: "policy" or "critic", the
    policy unless there is none."""

    def __init__(
        self,
        directory: Path,
        facts: Mapping[str, Any],
        game: Game,
        states: Sequence[Tree],
        selected: Sequence[Tree] | None = None,
        steps: Mapping[str, list[int]] | None = None,
    ):
        super().__init__(directory, facts, game, states)
        self.selected = list(selected or [])
        self.steps = dict(steps or {})  # of each ranker and member, the step that was selected

    @property
    def rankers(self) -> tuple[str, ...]:
        """Who can rank, the one that does unless told otherwise first."""
        return (*self.game.generators, "critic")

    @cached_property
    def ids(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The users and the items as they were read. Raises ValueError where documents have features instead."""
        if self.facts["data"]["kind"] != "interactions":
            raise ValueError(
                "this run ranks documents by their features: run.ranker()(features) scores them; there are no users"
            )
        held = files.read_json(self.directory / KEPT_IDS)
        return tuple(held["users"]), tuple(held["items"])

    @cached_property
    def seen(self) -> Tensor:
        """What users have, of the training and validation parts, bool [users, items]."""
        held = load_file(self.directory / HISTORY)
        matrix = torch.zeros(*self.game.shape, dtype=torch.bool)
        for pairs in held.values():
            matrix[tuple(pairs.T)] = True
        return matrix

    def weights(self, ranker: str | None = None, member: int = 0, state: State = "selected") -> Tree:
        """Of a ranker."""
        last = self._state(member)
        held = self.selected[member] if state == "selected" and self.selected else last
        return held["params"][self._named(ranker)]

    def _named(self, ranker: str | None) -> str:
        name = ranker or self.rankers[0]
        if name not in self.rankers:
            raise ValueError(f"there is no ranker {name!r}: this run has {' and '.join(self.rankers)}")
        return name

    def ranker(self, ranker: str | None = None, member: int = 0, state: State = "selected") -> nn.Module:
        """An ordinary module in eval mode: users [n, 1] and items [1, m], or features [..., d], to scores."""
        module = {**self.game.generators, "critic": self.game.critic}[self._named(ranker)]
        return self._module(module, self.weights(ranker, member, state))

    def scores(
        self, users: Sequence[str | int] | None = None, ranker: str | None = None, member: int = 0,
        state: State = "selected",
    ) -> Tensor:  # fmt: skip
        """[n, items] of users by their ids, all unless given, in the order of ``run.ids``. Raises ValueError for a user
        that was not in the data."""
        rows = self._rows(users)
        with torch.no_grad():
            return self.ranker(ranker, member, state)(rows.unsqueeze(1), torch.arange(self.game.shape[1]).unsqueeze(0))

    def recommend(
        self,
        users: Sequence[str | int] | None = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        ranker: str | None = None,
        member: int = 0,
    ) -> dict[str, list[tuple[str, float]]]:
        """Of every user the first k items with their scores, best first; fewer where a user has nearly all."""
        if k < 1:
            raise ValueError(f"recommend at least one item, not {k}")
        names, items = self.ids
        rows = self._rows(users)
        scores = self.scores(users, ranker, member).double()
        if exclude_seen:
            scores = scores.masked_fill(self.seen[rows], -math.inf)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        best = scores.gather(1, order)
        return {
            names[row]: [(items[i], float(s)) for i, s in zip(line, value, strict=True) if s > -math.inf]
            for row, line, value in zip(rows.tolist(), order.tolist(), best.tolist(), strict=True)
        }

    def _rows(self, users: Sequence[str | int] | None) -> Tensor:
        names, _ = self.ids
        if users is None:
            return torch.arange(len(names))
        place = {name: i for i, name in enumerate(names)}
        if strange := [user for user in map(str, users) if user not in place]:
            more = f", nor {len(strange) - 1} others" if len(strange) > 1 else ""
            raise ValueError(f"there is no user {strange[0]!r}{more} among the {len(names)} of this run")
        return torch.tensor([place[str(user)] for user in users], dtype=torch.long)

    # --- judging ---

    def table(self, data: Rankings, part: Part, ranker: str, member: int, state: State = "final") -> Tensor:
        """Scores [Q, D] of the candidates of a part."""
        if isinstance(data, Interactions):
            return self.scores(None, ranker, member, state)
        with torch.no_grad():
            return self.ranker(ranker, member, state)(data.part(part).padded().features)

    def judge(self, data: str | Rankings | None = None, metrics: Sequence[str] | None = None) -> dict[str, Any]:
        """``{name: {"mean", "std", "per_member"}}`` on the test part."""
        return self.judged(data, metrics)["metrics"]

    def judged(
        self,
        data: str | Rankings | Data | None = None,
        metrics: Sequence[str] | None = None,
        part: Part = "test",
        baselines: bool = False,
    ) -> dict[str, Any]:
        """The same with its provenance. Plain names are of the first ranker, ``critic.`` of the critic where that is
        another, selected by validation; ``final.`` of the last step. baselines: beside them under their names, of items
        those in closed form, of documents those taught by labels (seconds each), on the same training part.

        Raises ValueError for other data than users and items, or features, that the run was trained on.
        """
        rows = self._own(data)
        asked = list(NAMES) if metrics is None else list(metrics)
        for name in asked:
            if name not in NAMES:
                raise judges.nearest("metric", name, NAMES)
        what = question(rows, part)
        found: dict[str, Any] = {}
        for prefix, ranker, state in self._states_judged(part):
            lines = [what.judge(self.table(rows, part, ranker, i, state), asked) for i in range(self.members)]
            found |= {f"{prefix}{name}": value for name, value in judges.summary(lines).items()}
        if baselines:
            for title, scores in baseline(rows, part, self.facts["seed"]).items():
                found |= {f"{title}.{n}": v for n, v in judges.summary([what.judge(scores, asked)]).items()}
        return {"metrics": found, "provenance": self._told(rows, part, what)}

    def prefix(self, ranker: str) -> str:
        """Of a ranker's metrics: none of the first, the one that ranks unless told otherwise."""
        return "" if ranker == self.rankers[0] else f"{ranker}."

    def _states_judged(self, part: Part) -> Iterable[tuple[str, str, State]]:
        for name in self.rankers:
            prefix = self.prefix(name)
            if part == "valid":
                yield prefix, name, "final"
            else:
                yield prefix, name, "selected"
                yield f"final.{prefix}", name, "final"

    def _own(self, data: str | Rankings | Data | None) -> Rankings:
        if data is None or isinstance(data, str):
            data = plan.read(self.facts["plan"]).rows(data)
        if isinstance(data, Data):
            raise ValueError(f"{data.name} holds samples; this run ranks")
        kind, width = self.facts["data"]["kind"], self.facts["data"]["shape"][-1]
        if data.kind != kind or (data.shape != self.game.shape if kind == "interactions" else data.shape[-1] != width):
            raise ValueError(
                f"{data.name} holds {data.kind} of {data.shape}, the run was trained on {kind} of another kind"
            )
        if isinstance(data, Interactions) and (data.users, data.items) != self.ids:
            raise ValueError(f"{data.name} has other users and items than the run was trained on")
        return data

    def _told(self, data: Rankings, part: Part, what: Question) -> dict[str, Any]:
        return {
            "data": data.name, "fingerprint": data.fingerprint, "part": part, "queries": what.counted,
            "empty": what.empty, "gain": "exponential",
            "selected_by": f"{CHOSEN} of the validation part" if self.selected else "nothing: the final weights",
            "selected": {name: list(steps) for name, steps in self.steps.items() if part == "test"}, "perfect": {},
            "samples": what.counted, "held_out": int((what.gains > 0).sum()),
        }  # fmt: skip

    # --- watching ---

    @torch.no_grad()
    def look(self, state: Tree, data: Rankings) -> dict[str, float]:
        """Of one member, on the training queries: how wide the policy is, how much of what it picks is relevant, and
        how much of the reward's variance over pairs the document alone explains. Nothing, without a policy."""
        draw = self.game.draw
        if not isinstance(draw, Retrieve):
            return {}
        collection = data.collection
        query = collection.side("generator").held
        parts, mask = collection.all(query)
        tables = {
            name: self._module(module, state["params"][name])(*parts)
            for name, module in (("policy", self.game.generators["policy"]), ("critic", self.game.critic))
        }
        mask = torch.ones_like(tables["policy"], dtype=torch.bool) if mask is None else mask
        p = (tables["policy"] / draw.temperature).masked_fill(~mask, -math.inf).softmax(1)
        entropy = -torch.special.xlogy(p, p).sum(1)
        facts = {
            "perplexity": float(entropy.exp().mean()),
            "false_negatives": float((p * collection.known(query)).sum(1).mean()),
        }
        if isinstance(data, Interactions):
            facts["hidden_positives"] = float((p * data.matrix("valid")[query]).sum(1).mean())
        if not self.game.objective.relative:
            reward = -self.game.objective.generator(None, tables["critic"])
            facts |= {"reward": float((p * reward).sum(1).mean())}
            if collection.features is None:
                spread = reward.var(unbiased=False)
                facts["item_share"] = float(reward.mean(0).var(unbiased=False) / spread) if spread > 0 else math.nan
        return facts


def baseline(data: Rankings, part: Part, seed: int = 0) -> dict[str, Tensor]:
    """Scores [Q, D] of what an adversarial ranker has to beat: rankers in closed form, or taught by labels."""
    return closed(data, part) if isinstance(data, Interactions) else taught(data, part, seed)


def taught(data: Letor, part: Part, seed: int = 0) -> dict[str, Tensor]:
    """Scores [Q, D] of what learns from the labels of the training queries, chosen by the validation queries."""
    features = data.part(part).padded().features
    return {name: supervised.teach(name, data, seed=seed).score(features).detach() for name in supervised.TABLE}


def closed(data: Interactions, part: Part) -> dict[str, Tensor]:
    """Scores [U, I] of the rankers in closed form, fitted to the training part, their options chosen by the validation
    part, and of the truth where it is known."""
    x = data.matrix("train")
    found = {"popularity": closed_form.popularity(x)} | ({} if data.truth is None else {"truth": data.truth.double()})
    if x.shape[1] > LARGEST:
        return found
    asked = question(data, "valid") if len(data.valid) else None
    tried = {
        "item-knn": [closed_form.item_knn(x, k) for k in (20, 50, 100, 200, None)],
        "ease": [closed_form.ease(x, w) for w in (25.0, 50.0, 100.0, 200.0, 400.0, 800.0)],
    }
    usual = {"item-knn": 2, "ease": 4}
    for name, matrices in tried.items():
        tables = (x.double() @ b for b in matrices)
        if asked is None:
            found[name] = x.double() @ matrices[usual[name]]
        else:
            found[name] = max(tables, key=lambda scores: asked.judge(scores, (CHOSEN,))[CHOSEN])
    return found


class Shortlist:
    """What is kept of a run of retrieval while it trains: the selected weights, and at the end the table of rankers."""

    def __init__(self, run: Retrieval, data: Rankings):
        self.run, self.data = run, data
        if isinstance(data, Interactions):
            files.write_json(run.directory / KEPT_IDS, {"users": data.users, "items": data.items})
            held = {part: getattr(data, part).contiguous() for part in ("train", "valid") if len(getattr(data, part))}
            save_file(held, run.directory / HISTORY)
        self.selects = bool(data.sizes()["valid"])
        self.now: dict[str, Any] = {}  # the metrics of the judged step that is not yet selected from
        self.best: dict[str, list[float]] = {name: [-math.inf] * run.members for name in run.rankers}
        if run.selected:  # a resumed run goes on from what it had
            asked = question(data, "valid")
            for name in run.rankers:
                tables = (run.table(data, "valid", name, i, "selected") for i in range(run.members))
                self.best[name] = [asked.judge(scores, (CHOSEN,))[CHOSEN] for scores in tables]

    def look(self, state: Tree) -> dict[str, float]:
        """What is logged of a member."""
        return self.run.look(state, self.data)

    def judged(self) -> dict[str, Any]:
        """Rankers on the validation part, by which they are selected; without one, on the test part."""
        found = self.run.judged(self.data, part="valid" if self.selects else "test")
        self.now = found["metrics"]
        return found

    def step(self, step: int) -> None:
        """Keep the weights of every ranker that has never ranked the validation part so well."""
        run = self.run
        if not self.selects:
            return
        if not run.selected:
            run.selected = [{"params": dict(state["params"])} for state in run._states]
            run.steps = {name: [step] * run.members for name in run.rankers}
        found, self.now, better = self.now or self.judged()["metrics"], {}, False
        for name in run.rankers:
            for i, value in enumerate(found[f"{run.prefix(name)}{CHOSEN}"]["per_member"]):
                if value > self.best[name][i]:
                    self.best[name][i], better = value, True
                    run.steps[name][i] = step
                    run.selected[i]["params"][name] = tree.map(Tensor.clone, run._states[i]["params"][name])
        if better:
            checkpoints.save_selected(run.directory, run.selected, run.steps, run.facts["identity"])

    def end(self, step: int) -> None:
        """The table of rankers on the test part."""
        cheap = isinstance(self.data, Interactions)  # what is taught by labels takes seconds, and is asked for by judge
        found = self.run.judged(self.data, baselines=cheap)
        files.write_json(self.run.directory / "ranking.json", {"step": step, **found})
