"""Retrieval: rankers that a game has trained, judged, and used for lists.

Two sets of weights are kept. *Final* are those of the last step; *selected* are, for each ranker, those of the judged
step, the start among them, that ranked the validation part best, by `SELECTOR`. The test part is looked at when a run
is judged, and chooses nothing. Where data have no validation part nothing is selected: the final weights stand in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..core.names import unknown_name
from ..core.tree import Tree
from ..data import Collection, Interactions, Letor, Rankings
from ..data.samples.rows import Part
from ..draws import Hardest, Retrieve
from ..game import Game
from ..papers import find_paper
from ..papers.irgan import ABLATIONS
from ..runs import checkpoints, files
from ..runs.plan import Plan, StandIn
from ..runs.run import Run, with_weights
from ..runs.task import Pretrain, Task
from . import questions, warm_starts
from .questions import NAMES, SELECTOR, Question, make_question
from .shortlists import HISTORY_FILE, IDS_FILE, TABLE_FILE, Shortlist

State = Literal["selected", "final"]


class RankerRun(Run):
    """A played run of retrieval. member picks one of its population, counted from 0; ranker: "policy" or "critic", the
    policy unless there is none."""

    def __init__(
        self,
        directory: Path,
        facts: Mapping[str, Any],
        game: Game,
        states: Sequence[Tree],
        selected: Sequence[Tree],
        steps: Mapping[str, list[int]],
    ):
        super().__init__(directory, facts, game, states)
        self.selected = list(selected)
        self.steps = dict(steps)  # of each ranker and member, the step that was selected

    @property
    def abilities(self) -> tuple[str, ...]:  # type: ignore[override]
        lists = self.facts["data"]["kind"] == "interactions"
        return (*Run.abilities, "recommend") if lists else Run.abilities

    def select_member(self, member: int) -> RankerRun:
        run = super().select_member(member)
        run.selected = self.selected[member : member + 1]
        run.steps = {name: steps[member : member + 1] for name, steps in self.steps.items()}
        return run

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
        stored = files.read_json(self.directory / IDS_FILE)
        return tuple(stored["users"]), tuple(stored["items"])

    @cached_property
    def history(self) -> Tensor:
        """What users have, of the training and validation parts, bool [users, items]."""
        stored = load_file(self.directory / HISTORY_FILE)
        matrix = torch.zeros(*self.game.shape, dtype=torch.bool)
        for pairs in stored.values():
            matrix[tuple(pairs.T)] = True
        return matrix

    def weights(self, ranker: str | None = None, member: int = 0, state: State = "selected") -> Tree:
        """Of a ranker."""
        last = self.state(member)
        stored = self.selected[member] if state == "selected" and self.selected else last
        return stored["params"][self._check_ranker(ranker)]

    def _check_ranker(self, ranker: str | None) -> str:
        name = ranker or self.rankers[0]
        if name not in self.rankers:
            raise ValueError(f"there is no ranker {name!r}: this run has {' and '.join(self.rankers)}")
        return name

    def ranker(self, ranker: str | None = None, member: int = 0, state: State = "selected") -> nn.Module:
        """An ordinary module in eval mode: users [n, 1] and items [1, m], or features [..., d], to scores."""
        module = {**self.game.generators, "critic": self.game.critic}[self._check_ranker(ranker)]
        return with_weights(module, self.weights(ranker, member, state))

    def scores(
        self, users: Sequence[str | int] | None = None, ranker: str | None = None, member: int = 0,
        state: State = "selected",
    ) -> Tensor:  # fmt: skip
        """[n, items] of users by their ids, all unless given, in the order of ``run.ids``. Raises ValueError for a user
        that was not in the data."""
        rows = self._user_rows(users)
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
        rows = self._user_rows(users)
        scores = self.scores(users, ranker, member).double()
        if exclude_seen:
            scores = scores.masked_fill(self.history[rows], -math.inf)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        best = scores.gather(1, order)
        return {
            names[row]: [(items[i], float(s)) for i, s in zip(line, value, strict=True) if s > -math.inf]
            for row, line, value in zip(rows.tolist(), order.tolist(), best.tolist(), strict=True)
        }

    def _user_rows(self, users: Sequence[str | int] | None) -> Tensor:
        names, _ = self.ids
        if users is None:
            return torch.arange(len(names))
        place = {name: i for i, name in enumerate(names)}
        if strange := [user for user in map(str, users) if user not in place]:
            more = f", nor {len(strange) - 1} others" if len(strange) > 1 else ""
            raise ValueError(f"there is no user {strange[0]!r}{more} among the {len(names)} of this run")
        return torch.tensor([place[str(user)] for user in users], dtype=torch.long)

    # --- judging ---

    def candidate_scores(self, data: Rankings, part: Part, ranker: str, member: int, state: State = "final") -> Tensor:
        """Scores [Q, D] of the candidates of a part."""
        if isinstance(data, Interactions):
            return self.scores(None, ranker, member, state)
        with torch.no_grad():
            return self.ranker(ranker, member, state)(data.part(part).padded().features)

    def judgement(
        self,
        data: str | Rankings | None = None,
        metrics: Sequence[str] | None = None,
        *,
        seed: int = 0,
        baselines: float = False,
        part: Part = "test",
    ) -> dict[str, Any]:
        """Metrics with their provenance, on a part of the run's data. Plain names are of the first ranker, ``critic.``
        of the critic where that is another, selected by validation; ``final.`` of the last step. baselines: beside them
        under their names, of items those in closed form, of documents those taught by labels (seconds each), on the
        same training part.

        Raises ValueError for other data than users and items, or features, that the run was trained on.
        """
        rows = self._check_data(data)
        asked = list(NAMES) if metrics is None else list(metrics)
        for name in asked:
            if name not in NAMES:
                raise unknown_name("metric", name, NAMES)
        what = make_question(rows, part)
        found: dict[str, Any] = {}
        errors: dict[str, float] = {}
        for prefix, tables in self._tables_judged(rows, part, baselines):
            means, over_queries = what.summary(tables, asked)
            found |= {f"{prefix}{name}": value for name, value in means.items()}
            errors |= {f"{prefix}{name}": value for name, value in over_queries.items()}
        return {"metrics": found, "provenance": {**self._provenance(rows, part, what), "errors": errors}}

    def _tables_judged(self, data: Rankings, part: Part, baselines: float) -> Iterator[tuple[str, list[Tensor]]]:
        """A prefix and the scores [Q, D] of each member: of the run's own rankers, and of baselines."""
        for prefix, ranker, state in self.judged_rankers(part):
            yield prefix, [self.candidate_scores(data, part, ranker, i, state) for i in range(self.members)]
        if baselines:
            for title, scores in questions.baseline_scores(data, part, self.facts["seed"]).items():
                yield f"{title}.", [scores]

    def prefix_of(self, ranker: str) -> str:
        """Of a ranker's metrics: none of the first, the one that ranks unless told otherwise."""
        return "" if ranker == self.rankers[0] else f"{ranker}."

    def judged_rankers(self, part: Part) -> Iterable[tuple[str, str, State]]:
        for name in self.rankers:
            prefix = self.prefix_of(name)
            if part == "valid":
                yield prefix, name, "final"
            else:
                yield prefix, name, "selected"
                yield f"final.{prefix}", name, "final"

    def _check_data(self, data: str | Rankings | None) -> Rankings:
        rows = self.source(data)
        if not isinstance(rows, (Interactions, Letor)):
            raise ValueError(f"{rows.name} holds samples; this run ranks")
        kind, width = self.facts["data"]["kind"], self.facts["data"]["shape"][-1]
        if rows.kind != kind or (rows.shape != self.game.shape if kind == "interactions" else rows.shape[-1] != width):
            raise ValueError(
                f"{rows.name} holds {rows.kind} of {rows.shape}, the run was trained on {kind} of another kind"
            )
        if isinstance(rows, Interactions) and (rows.users, rows.items) != self.ids:
            raise ValueError(f"{rows.name} has other users and items than the run was trained on")
        return rows

    def _provenance(self, data: Rankings, part: Part, what: Question) -> dict[str, Any]:
        return {
            "data": data.name, "fingerprint": data.fingerprint, "part": part, "queries": what.query_count,
            "empty": what.empty, "gain": "exponential",
            "selected_by": f"{SELECTOR} of the validation part" if self.selected else "nothing: the final weights",
            "selected": {name: list(steps) for name, steps in self.steps.items() if part == "test"}, "perfect": {},
            "samples": what.query_count, "held_out": int((what.gains > 0).sum()),
        }  # fmt: skip

    # --- watching ---

    @torch.no_grad()
    def observe(self, state: Tree, data: Rankings) -> dict[str, float]:
        """Of one member, on the training queries: how wide the policy is, how much of what it picks is relevant, and
        how much of the reward's variance over pairs the document alone explains. Nothing, without a policy."""
        draw = self.game.draw
        if not isinstance(draw, Retrieve):
            return {}
        collection = data.collection
        query = collection.side("generator").entries
        parts, mask = collection.all(query)
        tables = {
            name: with_weights(module, state["params"][name])(*parts)
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


class Retrieval(Task):
    """Rankings of items that users liked, and of documents with features."""

    name = "retrieval"
    kinds = ("interactions", "letor")
    noun = "rankings"
    sources = "interactions (user item a line), LETOR lines, or tastes"
    forms = ("interactions", "letor")
    usual_steps = 300
    judgements = 20

    def accepts(self, game: Game) -> bool:
        return isinstance(game.draw, (Retrieve, Hardest))

    def check(self, game: Game, data: Rankings) -> None:
        super().check(game, data)
        if not data.side("critic").rows:
            raise ValueError(f"no query of {data.name} has both relevant and other documents: nothing can be learnt")

    def describe(self, game: Game, data: Rankings) -> dict[str, str]:
        train, valid, test = data.sizes().values()
        what = (
            "positives of {} users with {} items".format(*data.shape)
            if isinstance(data, Interactions)
            else f"queries of {data.shape[-1]} features"
        )
        noted = {"noted": "; ".join(self.notes(data))} if data.notes else {}
        parts = f"{data.name}: {train} train, {valid} validation, {test} test {what}"
        return {"data": parts, **noted, "start": game.start or "afresh"}

    def facts(self, data: Rankings) -> dict[str, Any]:
        return {"noted": [note._asdict() for note in data.notes]}

    def notes(self, data: Rankings) -> Sequence[str]:
        return [f"{note.reason}: {note.times}, first at {note.first}" for note in data.notes]

    def stand_in(self, directory: Path, facts: Mapping[str, Any]) -> StandIn:
        data = facts["data"]
        form, shape = data["kind"], tuple(data["shape"])
        if form == "letor":
            queries, width, features = shape
            none = torch.zeros(0, 2, dtype=torch.long)
            return StandIn(shape, form, Collection(queries, width, none, torch.zeros(0, width, features)))
        try:
            positives = load_file(directory / HISTORY_FILE)["train"]
        except (OSError, KeyError) as error:
            raise ValueError(f"{directory / HISTORY_FILE} cannot be read: {error}") from None
        users, items = shape
        return StandIn(shape, form, Collection(users, items, positives))

    def starting_weights(
        self, game: Game, data: Rankings, plan: Plan, pretrain: Pretrain
    ) -> Iterator[tuple[int, Mapping[str, Tree]]]:
        return warm_starts.starting_weights(self, game, data, plan, pretrain)

    def open_run(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]) -> RankerRun:
        template = {"params": states[0]["params"]}
        owners = checkpoints.identities(facts)
        selected, steps = checkpoints.read_selected(directory, [template] * len(states), owners)
        return RankerRun(directory, facts, game, states, selected, steps)

    def keeper(self, run: RankerRun, data: Rankings) -> Shortlist:
        return Shortlist(run, data)

    def outcome(self, run: RankerRun) -> dict[str, Any]:
        """The table of rankers, without those that were not trained."""
        found = files.read_json(run.directory / TABLE_FILE)
        own = {name for prefix, *_ in run.judged_rankers("test") for name in (f"{prefix}{m}" for m in NAMES)}
        return {**found, "metrics": {name: value for name, value in found["metrics"].items() if name in own}}

    def next_command(self, run: RankerRun) -> str:
        lists = run.facts["data"]["kind"] == "interactions"
        return f"recommend {run.directory} --k 10 --out lists.csv" if lists else super().next_command(run)

    def baselines(self, data: Rankings) -> dict[str, dict[str, Any]]:
        asked = make_question(data, "test")
        return {name: asked.summary([scores])[0] for name, scores in questions.baseline_scores(data, "test").items()}

    def ablations(self, papers: Sequence[str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """IRGAN as it is asked for, with one thing changed at a time, and its start taught on without an adversary."""
        if len(papers) != 1 or not papers[0].startswith("irgan"):
            return super().ablations(papers)
        (name,) = papers
        known = find_paper(name).records["interactions"].numbers
        fitting = {title: own for title, own in ABLATIONS.items() if own.keys() <= known.keys()}
        if name != "irgan":
            fitting = {title: own for title, own in fitting.items() if "reward" not in own}
        return {name: (name, {}), **{title: (name, own) for title, own in fitting.items()}, "dns, on": ("dns", {})}

    def common_start(
        self, paper: str, game: Game, settings: Mapping[str, Any], pretrain: Pretrain
    ) -> Mapping[str, Any]:
        if game.start != "dns":
            return {"start": game.start}
        return {"start": str(warm_starts.train_dns(settings, pretrain))}
