"""Retrieval: rankers that a game has trained, judged, and used for lists.

Two sets of weights are kept. *Final* are those of the last step; *selected* are, for each ranker, those of the judged
step, the start among them, that ranked the validation part best, by `SELECTOR`. The test part is looked at when a run
is judged, and chooses nothing. Where data have no validation part nothing is selected: the final weights stand in.
Beside them stand the weights of the *start*: what was selected at step 0 is the start's merit, and not the game's.
"""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from ..core import disk
from ..core.names import rename, unknown_name
from ..core.streams import say
from ..core.texts import first_line
from ..core.tree import Tree
from ..data import Collection, Interactions, Letor, Rankings
from ..data.samples.rows import PARTS, Part
from ..draws import Hardest, Retrieve
from ..game import Game
from ..judging import judges
from ..papers import find_paper
from ..papers.irgan import ABLATIONS
from ..runs import checkpoints, files
from ..runs.facts import check_facts, is_run
from ..runs.plan import Plan, StandIn
from ..runs.run import Run, with_weights
from ..runs.task import Pretrain, Task
from . import questions, warm_starts
from .questions import NAMES, SELECTOR, Question, make_question
from .shortlists import HISTORY_FILE, IDS_FILE, TABLE_FILE, Shortlist, describe_steps

BLOCK = 64  # users that are scored at once
State = Literal["selected", "final", "start"]
Lists = dict[str, list[tuple[str, float]]]


class Names(TypedDict):
    """What a run keeps of who was who."""

    users: list[str]
    items: list[str]


class Ids(Names, total=False):
    """And since versions before did not: the digest of what they have."""

    history: str


def read_ids(directory: Path) -> dict[str, Any]:
    """Of a run. Raises ValueError where they cannot be read."""
    path = directory / IDS_FILE
    if not path.exists():
        raise ValueError(f"{path}, which names its users and items, is missing")
    stored = files.read_json(path)
    check_facts(path, stored, Ids)
    return stored


def read_history(directory: Path, users: int, items: int) -> dict[str, Tensor]:
    """What users have, as a run keeps it: pairs [n, 2] of each part. Raises ValueError for what cannot be that."""
    path, known = directory / HISTORY_FILE, read_ids(directory).get("history")
    try:
        data = disk.read_bytes(path)
        if known and hashlib.sha256(data).hexdigest() != known:
            raise ValueError(f"its digest is not the one in {IDS_FILE}")
        parts = load(data)
        for name in {"train", *parts}:
            pairs, ends = parts[name], torch.tensor([users, items])
            if pairs.dtype != torch.long or pairs.shape[1:] != (2,) or not bool(((pairs >= 0) & (pairs < ends)).all()):
                raise ValueError(f"{name} is no list of users and items")
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from None
    return parts


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

    abilities = (*Run.abilities, "recommend")

    def select_member(self, member: int) -> RankerRun:
        run = super().select_member(member)
        run.selected, run.first = self.selected[member : member + 1], self.first[member : member + 1]
        run.steps = {name: steps[member : member + 1] for name, steps in self.steps.items()}
        return run

    @property
    def rankers(self) -> tuple[str, ...]:
        """Who can rank, the one that does unless told otherwise first."""
        return (*self.game.generators, "critic")

    @cached_property
    def ids(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The users and the items as they were read. Raises ValueError where documents have features instead."""
        if not self.has_users:
            raise ValueError(
                "this run ranks documents by their features: run.ranker()(features) scores them; there are no users"
            )
        stored = read_ids(self.directory)
        users, items = tuple(stored["users"]), tuple(stored["items"])
        if (len(users), len(items)) != tuple(self.game.shape):
            raise ValueError(
                f"{self.directory / IDS_FILE} names {len(users)} users and {len(items)} items: not those of run.json"
            )
        return users, items

    @property
    def has_users(self) -> bool:
        """Whether it ranks items for users, and not the documents of queries."""
        return self.facts["data"]["kind"] == "interactions"

    @property
    def nouns(self) -> tuple[str, str]:
        """Whom it ranks for, and what."""
        return ("user", "item") if self.has_users else ("query", "document")

    @cached_property
    def history(self) -> Tensor:
        """What users are known to have touched, liked or not, in the training and validation files, bool
        [users, items]."""
        matrix = torch.zeros(*self.game.shape, dtype=torch.bool)
        for pairs in self._stored_pairs.values():
            matrix[tuple(pairs.T)] = True
        return matrix

    @property
    def knows_dislikes(self) -> bool:
        """Whether it has recorded what users rated low, where something could be: earlier versions did not."""
        least = rename(self.facts["data"].get("choices", {})).get("min_rating")
        return "touched" in self._stored_pairs or not isinstance(least, (int, float))

    @cached_property
    def _stored_pairs(self) -> dict[str, Tensor]:
        return read_history(self.directory, *self.game.shape)

    @cached_property
    def first(self) -> list[Tree]:
        """The weights of each member's first ranker before the first step; none where they were not kept. Raises
        ValueError where they cannot be read."""
        templates = [self.states[0]["params"][self.rankers[0]]] * self.facts["seeds"]
        found = checkpoints.read_first(self.directory, templates, checkpoints.identities(self.facts))
        if not found and "legs" in self.facts and "formerly" not in self.facts:  # versions before kept none
            say(f"{self.directory / 'first'} is missing: no start is judged")
        return found

    def weights(self, ranker: str | None = None, member: int = 0, state: State = "selected") -> Tree:
        """Of a ranker."""
        last, name = self.state(member), self._check_ranker(ranker)
        if state == "start":
            return self.first[member]
        stored = self.selected[member] if state == "selected" and self.selected else last
        return stored["params"][name]

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
        self, users: str | int | Sequence[str | int] | None = None, ranker: str | None = None, member: int = 0,
        state: State = "selected",
    ) -> Tensor:  # fmt: skip
        """[n, items] of users by their ids, all unless given, in the order of ``run.ids``. Raises ValueError for a user
        that was not in the data. Users are scored in blocks that are always the same: a product's last digits hang on
        how many rows it has, and nobody's scores on who else is asked about."""
        rows, (count, items) = self._user_rows(users), self.game.shape
        module = self.ranker(ranker, member, state)
        found = torch.empty(len(rows), items, dtype=next(module.parameters()).dtype)
        for start in (rows // BLOCK).unique().mul(BLOCK).tolist():
            block = torch.arange(start, min(start + BLOCK, count)).unsqueeze(1)
            mine = rows // BLOCK == start // BLOCK
            with torch.no_grad():
                found[mine] = module(block, torch.arange(items).unsqueeze(0))[rows[mine] - start]
        return found

    def recommend(
        self,
        users: str | int | Sequence[str | int] | None = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        exclude_test: bool = False,
        ranker: str | None = None,
        member: int = 0,
        part: Part = "test",
    ) -> Lists:
        """Of every user the first k items with their scores, best first; fewer where there are no more. exclude_seen:
        without what the user has touched, liked or not, which leaves what the test part holds out, so that the lists
        can be scored; exclude_test: without that too, for which the run's data are read. Of documents with features: of
        every query of a part of the run's data, by ids, its first k documents, one without an id as QUERY-NUMBER,
        counted from 1 as read.

        Of equal scores those come first whose id, with the run's seed, has the smaller digest: neither the order of a
        file nor that of names, either of which may know what is relevant, decides. Raises ValueError for users and
        queries that there are not."""
        if k < 1:
            raise ValueError(f"recommend at least one {self.nouns[1]}, not {k}")
        if not self.has_users:
            if exclude_test:
                raise ValueError(
                    "there is no test part to exclude from lists of documents: part chooses whose they are"
                )
            return self._recommend_documents(users, k, ranker, member, part)
        names, items = self.ids
        rows = self._user_rows(users)
        scores = self.scores(users, ranker, member).double()
        if exclude_seen:
            scores = scores.masked_fill(self.history[rows], -math.inf)
        if exclude_test:
            own = self._check_data(None)
            assert isinstance(own, Interactions)
            scores = scores.masked_fill(own.matrix("test")[rows], -math.inf)
        order, best = self._first(scores, items, k)
        return {
            names[row]: [(items[i], float(s)) for i, s in zip(line, value, strict=True) if s > -math.inf]
            for row, line, value in zip(rows.tolist(), order.tolist(), best.tolist(), strict=True)
        }

    def _recommend_documents(
        self, queries: str | int | Sequence[str | int] | None, k: int, ranker: str | None, member: int, part: Part
    ) -> Lists:
        data = self._check_data(None)
        assert isinstance(data, Letor)
        table = data.part(part)
        place = {name: i for i, name in enumerate(table.queries)}
        queries = [queries] if isinstance(queries, (str, int)) else queries
        asked = table.queries if queries is None else tuple(map(str, queries))
        elsewhere = {query: name for name in PARTS if name != part for query in data.part(name).queries}
        self._check_known(asked, place, f" in its {part} part", elsewhere)
        scores, lists = table.scored(self.ranker(ranker, member)).double(), {}
        for query in asked:
            rows = table.rows(place[query])
            own = table.documents[rows] if table.documents else [""] * (rows.stop - rows.start)
            names = [name or f"{query}-{i}" for i, name in enumerate(own, 1)]
            order, best = self._first(scores[place[query], None, : len(names)], [f"{query}/{it}" for it in names], k)
            lists[query] = [(names[i], s) for i, s in zip(order[0].tolist(), best[0].tolist(), strict=True)]
        return lists

    def _first(self, scores: Tensor, names: Sequence[str], k: int) -> tuple[Tensor, Tensor]:
        """The columns of the k largest of scores [n, D] and these, [n, k]; of equal ones by the digest of their
        names."""
        digests = [hashlib.blake2b(f"{self.facts['seed']}/{name}".encode(), digest_size=8).digest() for name in names]
        drawn = torch.tensor(sorted(range(len(names)), key=lambda i: (digests[i], i)), dtype=torch.long)
        order = drawn[scores[:, drawn].argsort(dim=1, descending=True, stable=True)[:, :k]]
        return order, scores.gather(1, order)

    def _check_known(
        self,
        asked: Iterable[str],
        known: Mapping[str, int],
        where: str = "",
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        """Raises ValueError for what is not known; elsewhere: in which other part it is."""
        if strange := [name for name in asked if name not in known]:
            more = f", nor {len(strange) - 1} more" if len(strange) > 1 else ""
            some = ", ".join(list(known)[:3])
            who = self.nouns[0]
            other = (elsewhere or {}).get(strange[0])
            hint = f"; {strange[0]} is in {other}: --part {other}" if other else ""
            raise ValueError(
                f"there is no {who} {strange[0]!r}{more} among the {len(known)} of this run{where}: {some}, ...{hint}"
            )

    def _user_rows(self, users: str | int | Sequence[str | int] | None) -> Tensor:
        names, _ = self.ids
        if users is None:
            return torch.arange(len(names))
        users = [users] if isinstance(users, (str, int)) else users  # one id is no list of letters
        place = {name: i for i, name in enumerate(names)}
        self._check_known(map(str, users), place)
        return torch.tensor([place[str(user)] for user in users], dtype=torch.long)

    # --- judging ---

    def candidate_scores(self, data: Rankings, part: Part, ranker: str, member: int, state: State = "final") -> Tensor:
        """Scores [Q, D] of the candidates of a part."""
        if isinstance(data, Interactions):
            return self.scores(None, ranker, member, state)
        return data.part(part).scored(self.ranker(ranker, member, state))

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
        of the critic where that is another, selected by validation; ``final.`` of the last step; ``start.`` of the
        first ranker before the first step, where that was kept. baselines: beside them under their names, of items
        those in closed form, of documents those taught by labels (seconds each), on the same training part. Of other
        data than the run's own, pairs that it was trained on are left out, and counted.

        Raises ValueError for other data than users and items, or features, that the run was trained on.
        """
        rows = self._check_data(data)
        asked = judges.named(metrics) or NAMES
        for name in asked:
            if name in judges.NAMES:
                raise ValueError(
                    f"{name} is a metric of samples, and {self.directory} ranks: there are {', '.join(NAMES)}"
                )
            if name not in NAMES:
                raise unknown_name("metric", name, NAMES)
        what = make_question(rows, part, self._taught(rows))
        found: dict[str, Any] = {}
        errors: dict[str, float] = {}
        tied: dict[str, list[int]] = {}
        for prefix, tables in self._tables_judged(rows, part, baselines):
            means, over_queries = what.summary(tables, asked)
            if part == "test":
                tied[prefix.rstrip(".")] = [what.tied(scores) for scores in tables]
            found |= {f"{prefix}{name}": value for name, value in means.items()}
            errors |= {f"{prefix}{name}": value for name, value in over_queries.items()}
        tied = {who: counts for who, counts in tied.items() if any(counts)}
        facts = {**self._provenance(rows, part, what), "errors": errors, "tied": tied}
        if few := judges.lacking_rows(dict.fromkeys(found, judges.FEW_ROWS), what.query_count, "queries"):
            facts["few"] = few
        if baselines and (absent := questions.left_out(rows)):
            facts["left_out"] = absent
        return {"metrics": found, "provenance": facts}

    def _taught(self, data: Rankings) -> Tensor | None:
        """What the run was trained on, bool [users, items], where the data are others than its own, which may hold it
        in any part."""
        if not isinstance(data, Interactions) or data.fingerprint == self.facts["data"]["fingerprint"]:
            return None
        return self.history

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
                if not prefix and self.first:
                    yield "start.", name, "start"

    def _check_data(self, data: str | Rankings | None) -> Rankings:
        rows = self.source(data)
        if not isinstance(rows, (Interactions, Letor)):
            raise ValueError(f"{rows.name} holds samples; this run ranks")
        kind, shape = self.facts["data"]["kind"], self.facts["data"]["shape"]
        if rows.kind != kind:
            knows = {"interactions": "users with items", "letor": "queries of documents with features"}
            raise ValueError(f"{rows.name} holds {knows[rows.kind]}, and the run was trained on {knows[kind]}")
        if isinstance(rows, Letor):
            if rows.shape[-1] != shape[-1]:
                raise ValueError(
                    f"{rows.name} has documents of {rows.shape[-1]} features, the run was trained on {shape[-1]}"
                )
        elif (rows.users, rows.items) != self.ids:
            sizes = [f"{users} users and {items} items" for users, items in (rows.shape, shape)]
            which = f"{sizes[0]}, the run knows {sizes[1]}" if sizes[0] != sizes[1] else f"{sizes[0]} of other ids"
            raise ValueError(f"{rows.name} has {which}: it is judged on the users and items that it was trained on")
        return rows

    def source(self, data: Any = None) -> Any:
        """The run's own data, or others (`Run.source`). Raises ValueError where its own are no longer what it was
        trained on: cut anew, its test part would hold what it has learnt of."""
        own = data is None and self.data is None
        rows = super().source(data)
        if own and rows.fingerprint != self.facts["data"]["fingerprint"]:
            self.data = None
            raise ValueError(f"{rows.name}, the data of {self.directory}, has changed since it was trained: train anew")
        return rows

    def own_reading(self) -> dict[str, Any]:
        """A run of an earlier version may have counted every line where today's rule would not."""
        every = rename(self.facts["data"].get("choices", {})).get("min_rating") == "every line"
        asked = rename(self.facts["plan"].get("reading", {})).get("min_rating")
        return {"min_rating": -math.inf} if every and asked is None else {}

    def _provenance(self, data: Rankings, part: Part, what: Question) -> dict[str, Any]:
        taught, counts = self._taught(data), {}
        if taught is not None and isinstance(data, Interactions):
            counts = {"pairs": int(taught.sum()), "held_out": int((taught & data.matrix(part)).sum())}
        return {
            "data": data.name, "fingerprint": data.fingerprint, "part": part, "queries": what.query_count,
            "empty": what.empty, "gain": "exponential",
            "candidates": questions.describe_candidates(data, part, counts), **({"taught": counts} if counts else {}),
            "rankers": list(self.rankers), "start": self.start_facts,
            "selected_by": f"{SELECTOR} of the validation part" if self.selected else "nothing: the final weights",
            "selected": {name: list(steps) for name, steps in self.steps.items() if part == "test"}, "perfect": {},
            "samples": what.query_count, "held_out": int((what.gains > 0).sum()),
        }  # fmt: skip

    @cached_property
    def start_facts(self) -> dict[str, Any]:
        """What the game started from, and how many steps that had been played for, where it is known."""
        kind = self.game.start
        if kind in ("", "ease"):
            return {"from": kind or "afresh", "steps": 0}
        path = self.directory / "start" if kind == "dns" else Path(kind)
        return {"from": warm_starts.paper_of(path) or kind, "steps": warm_starts.steps_played(path)}

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
        noted = {"noted": "; ".join(self._noted(data))} if data.notes else {}
        rule = {"positive": data.rule} if isinstance(data, Interactions) and data.rule else {}
        absent = {"baselines": found} if (found := questions.left_out(data)) else {}
        parts = f"{data.name}: {train} train, {valid} validation, {test} test {what}"
        return {"data": parts, **rule, **noted, **absent, "start": game.start or "afresh"}

    def facts(self, data: Rankings) -> dict[str, Any]:
        rule = {"positive": data.rule} if isinstance(data, Interactions) and data.rule else {}
        return {**rule, "noted": [note._asdict() for note in data.notes]}

    def notes(self, data: Rankings) -> Sequence[str]:
        rule = data.rule if isinstance(data, Interactions) else ""
        return [*([f"positive: {rule}"] if rule else []), *self._noted(data)]

    def _noted(self, data: Rankings) -> list[str]:
        return [f"{note.reason}: {note.times}, first at {note.first}" for note in data.notes]

    def stand_in(self, directory: Path, facts: Mapping[str, Any]) -> StandIn:
        data = facts["data"]
        form, shape = data["kind"], tuple(data["shape"])
        if form == "letor":
            queries, width, features = shape
            none = torch.zeros(0, 2, dtype=torch.long)
            return StandIn(shape, form, Collection(queries, width, none, torch.zeros(0, width, features)))
        users, items = shape
        return StandIn(shape, form, Collection(users, items, read_history(directory, users, items)["train"]))

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

    def closing(self, run: RankerRun) -> list[str]:
        """How each ranker fared on the test part beside where it started, and whose merit that is."""
        found = files.read_json(run.directory / TABLE_FILE)
        facts, lines = found["provenance"], []
        mean = lambda who: f"{found['metrics'][f'{who}{SELECTOR}']['mean']:.3f}"  # noqa: E731
        for name in run.rankers:
            who = run.prefix_of(name)
            known = {"at the end": f"final.{who}"} | ({} if who or not run.first else {"at the start": "start."})
            beside = ", ".join(f"{mean(prefix)} {when}" for when, prefix in known.items())
            step = f"selected at step {describe_steps(run.steps[name])}: " if run.selected else ""
            lines.append(f"{name}: {step}test {SELECTOR} {mean(who)}; {beside}")
            if run.selected and not any(run.steps[name]):
                lines.append(f"{name}: no later step ranked the validation part better: what is selected is its start")
        if facts.get("tied"):
            lines.append(questions.describe_ties(facts))
        if facts.get("left_out"):
            lines.append(facts["left_out"])
        return lines

    def started_from(self, run: RankerRun) -> Mapping[str, Any] | None:
        own = run.directory / "start"
        path = own if is_run(own) else Path(run.game.start or own)
        if not is_run(path):
            return None
        facts, log = files.read_json(path / "run.json"), files.read_lines(path / "log.jsonl")
        return {"paper": facts["paper"], "steps": facts["steps"], "seconds": log[-1]["seconds"] if log else None}

    def next_command(self, run: RankerRun) -> str:
        out = "lists.csv" if run.has_users else "lists.trec"
        return f"recommend {shlex.quote(str(run.directory))} --k 10 --out {out}"

    def baselines(self, data: Rankings) -> dict[str, dict[str, Any]]:
        asked = make_question(data, "test")
        return {name: asked.summary([scores])[0] for name, scores in questions.baseline_scores(data, "test").items()}

    def without_baselines(self, data: Rankings) -> str:
        return questions.left_out(data)

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
