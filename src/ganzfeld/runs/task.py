"""Tasks: all that differs between kinds of data.

A game is played alike on whatever it compares; what a source is read as, how long a run usually is, what is looked at
while it plays, how it is judged, what is kept of it and what it can do at its end are one *task*'s answers. The loop,
comparisons, the report and the command line ask a task and know nothing else of the data.

A new kind of data is a class with the members of `Source`, a reader, and a task: a name, the kinds it is for, and what
opens its runs. All other answers have defaults.
"""

from __future__ import annotations

import shlex
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from ..compatibility import Doubtful
from ..core.texts import first_line
from ..core.tree import Tree
from ..game import Game
from ..papers import Form, papers_for
from . import checkpoints, files, pieces
from .facts import DataFacts, check_facts
from .plan import Plan, StandIn, read_plan
from .run import Run

Tell = Callable[[str, int, Mapping[str, Any]], None]  # what happened, at which step, its facts
Pretrain = Callable[
    [str, int, Mapping[str, Any]], Path
]  # trains a paper for some steps with settings, on the same data


class Source(Protocol):
    """What every data set has. kind: what it holds, by which its task is found; form: what a paper must be set for;
    shape: of what a game is played on; choices: what was decided on the way from the files."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def form(self) -> Form: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def choices(self) -> Mapping[str, str | int | float]: ...

    @property
    def fingerprint(self) -> str: ...

    def sizes(self) -> Mapping[Any, int]:
        """Of the training, validation and test part."""
        ...


class Keeper:
    """What is looked at and kept of a run while it trains."""

    def __init__(self, run: Any, data: Any):
        self.run, self.data = run, data

    def observe(self, state: Tree) -> dict[str, float]:
        """What is logged of a member."""
        return {}

    def judge(self) -> dict[str, Any]:
        """What is written at a judged step: ``{"metrics": ..., "provenance": ...}``."""
        return self.run.judgement(self.data)

    def keep(self, step: int) -> None:
        """At the beginning and at every judged step."""

    def finish(self, step: int) -> None:
        """At the end."""


def _known_game(directory: Path, facts: Mapping[str, Any], game: Game) -> Game:
    """The Game that a run is opened with. Raises ValueError where it is not the one it was trained from."""
    if facts["paper"]:
        raise ValueError(f"{directory} holds a run of {facts['paper']}, whose game is known: leave out game=")
    if other := pieces.other_pieces(directory, facts, pieces.describe_game(game)):
        raise ValueError(f"the Game is not the one that {directory} was trained from: {other}")
    return game


class Task(ABC):
    """name: in ``run.json``; kinds: of data that are its own; noun: what such data hold; forms: those of its papers;
    sources: what a user may give."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    noun: ClassVar[str]
    sources: ClassVar[str] = "data of that kind"
    forms: ClassVar[tuple[Form, ...]] = ("vectors", "pictures")
    usual_steps: ClassVar[int] = 10_000
    judgements: ClassVar[int] = 4  # of each run in a comparison
    data_facts: ClassVar[Any] = DataFacts  # what a run says of such data, as a `TypedDict`

    # --- its data ---

    def accepts(self, game: Game) -> bool:
        """Whether a game's draw is one of such data."""
        return True

    def fitting_papers(self) -> tuple[str, ...]:
        """The papers that can be played on such data."""
        return tuple(dict.fromkeys(paper for form in self.forms for paper in papers_for(form)))

    def label_settings(self, data: Any) -> Mapping[str, Any]:
        """The settings by which a paper tells its players the classes. Raises ValueError where there are none."""
        raise ValueError(f"--labels is for samples with classes; {self.noun} have none")

    def check(self, game: Game, data: Any) -> None:
        """Raises ValueError where the game cannot be played on the data."""
        if game.shape != data.shape:
            raise ValueError(f"the game is for samples of shape {game.shape}, {data.name} has {data.shape}")
        if (kind := next(game.critic.parameters()).dtype) != torch.float32:
            raise ValueError(f"the weights of the game are of {kind}, and data of torch.float32: .float()")

    def describe(self, game: Game, data: Any) -> dict[str, str]:
        """What ``--dry-run`` shows of the data."""
        train, valid, test = data.sizes().values()
        return {"data": f"{data.name}: {train} train, {valid} validation, {test} test {self.noun}"}

    def facts(self, data: Any) -> dict[str, Any]:
        """What a run must know of its data, beside name and shape, when they are not at hand."""
        return {}

    def notes(self, data: Any) -> Sequence[str]:
        """What a user should hear of the data before the first step."""
        return ()

    def stand_in(self, directory: Path, facts: Mapping[str, Any]) -> StandIn:
        """All that a paper reads of the data of a run, from ``run.json`` and what else the run kept."""
        data = facts["data"]
        shape = tuple(data["shape"])
        return StandIn(shape, data.get("form") or ("pictures" if len(shape) == 3 else "vectors"))

    # --- its runs ---

    def starting_weights(
        self, game: Game, data: Any, plan: Plan, pretrain: Pretrain
    ) -> Iterator[tuple[int, Mapping[str, Tree]]]:
        """Of every seed the weights of players that do not start afresh. pretrain: trains, or goes on with, a run
        that this one starts from, and returns its directory."""
        return ((seed, {}) for seed in plan.members)

    @abstractmethod
    def open_run(self, directory: Path, facts: Mapping[str, Any], game: Game, states: Sequence[Tree]) -> Run:
        """A game in some states."""

    def load(self, directory: Path, facts: Mapping[str, Any], game: Game | None = None) -> Run:
        """A run from its directory and the facts in it. game: only for one that was trained from a Game of your own.
        Raises ValueError, in one line, where there is no whole checkpoint."""
        check_facts(directory / "run.json", facts["data"], self.data_facts)
        plan = read_plan(facts["plan"])
        if game is not None:
            game = _known_game(directory, facts, game)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Doubtful)  # said when it was trained
                game = game or plan.game(self.stand_in(directory, facts))
            template = game.init(plan.seed)
        except (RuntimeError, TypeError, OverflowError, MemoryError) as error:  # of sizes that no run has had
            raise ValueError(f"the game of {directory / 'run.json'} cannot be built: {first_line(error)}") from None
        checkpoint = checkpoints.newest_checkpoint(directory, [template] * plan.seeds, checkpoints.identities(facts))
        if checkpoint is None:
            raise ValueError(f"{directory} has no checkpoint yet")
        checkpoints.report_skipped(checkpoint)
        return self.open_run(directory, facts, game, checkpoint.states)

    def keeper(self, run: Any, data: Any) -> Keeper:
        """What looks after a run while it trains."""
        return Keeper(run, data)

    def outcome(self, run: Any) -> dict[str, Any]:
        """How a finished run was judged on the test part, as it wrote it down."""
        return files.read_lines(run.directory / "metrics.jsonl")[-1]

    def closing(self, run: Any) -> Sequence[str]:
        """What a user should hear of a finished run."""
        return ()

    def started_from(self, run: Any) -> Mapping[str, Any] | None:
        """What was trained before a run, which starts from it: ``{"paper", "steps", "seconds"}``; None of a fresh
        start."""
        return None

    def next_command(self, run: Any) -> str:
        """What to try with a finished run."""
        return f"judge {shlex.quote(str(run.directory))}"

    # --- its comparisons ---

    def baselines(self, data: Any) -> dict[str, dict[str, Any]]:
        """Metrics of what needs no training, by name."""
        return {}

    def without_baselines(self, data: Any) -> str:
        """Which of them are not worked out on such data, and why; empty where all are."""
        return ""

    def ablations(self, papers: Sequence[str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
        """Title -> (paper, settings): what becomes of a paper without each of its parts. Raises ValueError for papers
        that have no such table."""
        raise ValueError(f"--ablate takes one paper, irgan or irgan-pairwise, not {' '.join(papers)}")

    def common_start(
        self, paper: str, game: Game, settings: Mapping[str, Any], pretrain: Pretrain
    ) -> Mapping[str, Any]:
        """The settings that start every variant of a paper from the same weights."""
        return {}
