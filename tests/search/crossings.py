"""Crossings of papers, networks, objectives, constraints and settings, as a command line would ask for them."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ganzfeld as gz
from ganzfeld.faces import catalogue
from ganzfeld.papers import find_paper
from ganzfeld.papers.unread import unread
from small import environment

from . import world
from .processes import Done, Servers
from .tally import Tally

NUMBERS = """-1 0 1 2 3 7 40 300 1.5 0.5 0.9 -0.5 1e-3 1e-30 1e3 nan inf -inf 1e308 1e400 none true 0x10 1_000 +2
1/2 1,5 999999999999""".split()
OTHERS = "abc (0.5,0.9) (2,3) (0.9,nan) [1,2] {} 'x' None linear cosine mean tanh ٣ a=b".split() + ["", " 2 "]
CHOICES = {
    "activation": "relu leaky tanh elu",
    "norm": "none batch layer",
    "critic_norm": "none batch layer",
    "lr_schedule": "constant linear cosine",
    "augment": "colour translation,cutout cutout,cutout",
    "form": "primal dual",
    "betas": "(0.5,0.9) (0,0.99) (0.9,0.9)",
    "optimizer": "adam sgd rmsprop",
    "baseline": "none mean optimal",
    "negatives": "live frozen uniform",
    "start": "dns ease none",
    "reward": "tanh softplus hinge",
    "pool": "0 4 sum",
    "payoff": "hinge wasserstein minimax",
}
FLAGS = """--labels|--seeds 2|--precision bf16|--engine eager|--engine fast|--steps 0|--steps -1|--steps x|
--batch-size 0|--batch-size -3|--batch-size 100000|--size 8|--size 16|--size 7|--size 0|--size -4|--min-rating 3|
--min-rating nan|--fold 1|--fold 9|--seed -1|--seed 99999999999999999999|--exclude-classes 1|--exclude-classes 9|
--exclude-classes 0,1,2|--judge-every -1|--log-every 1|--checkpoint-every 1|--crop pad|--crop round|--background puce|
--device tpu|--valid x.npy|--test none.npy|--strict|--dry-run|--unknown|--seeds 0|--data|--out""".replace(
    "\n", ""
).split("|")


def words_of(number: int) -> tuple[list[str], dict[str, str]]:
    """The command of a case, and the settings that it asks for."""
    rng = random.Random(f"crossing {number}")
    lists, settings = catalogue.read()["lists"], catalogue.read()["settings"]["papers"]
    form = rng.choices(list(world.FILES), (45, 25, 20, 10))[0]
    fitting = [paper for paper in lists["papers"] if form in settings[paper]]
    paper = rng.choice(fitting if rng.random() < 0.93 else list(lists["papers"]))
    rankers = ["factors", "item-item", "perceptron"]
    near = [name for name in lists["networks"] if (name in rankers) == (form in ("interactions", "letor"))]
    network = rng.choice(near if rng.random() < 0.9 else list(lists["networks"])) if rng.random() < 0.3 else None
    known = {row[0]: row[1] for row in settings[paper].get(form, [])}
    if network:
        known = {key: value for key, value in known.items() if key not in world.SMALL or key == "batch_size"}
        known |= (
            {field.name: "" for field in dataclasses.fields(gz.networks.TABLE[network])}
            if network in gz.networks.TABLE
            else {}
        )
    chosen = {key: value for key, value in world.SMALL.items() if key in known}
    chosen |= {"warm": "0"} if "warm" in known else {}
    words = ["train", paper, "--data", world.FILES[form], "--out", "run", "--steps", "3"]
    words += ["--network", network] if network else []
    objective = None
    if rng.random() < 0.4:
        objective = rng.choice(list(lists["objectives"])) if rng.random() < 0.97 else "minmax"
        words += ["--objective", objective]
    constraints = rng.sample(list(lists["constraints"]), rng.choice((1, 1, 2))) if rng.random() < 0.4 else []
    for name in constraints:
        words += ["--constraint", name]
        fields = [field.name for field in dataclasses.fields(gz.constraints.TABLE[name])]
        known |= {f"{name}.{key}": "1.0" for key in fields}
    chosen = without_idle(chosen, paper, form, network, objective, constraints or None)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        key = (
            rng.choice(list(known) or ["lr"])
            if rng.random() < 0.97
            else rng.choice(("widht", "tempo", "r1.gama", "x.y.z"))
        )
        chosen[key] = value_for(rng, key, known.get(key, "1"))
    for key, value in chosen.items():
        words += ["--set", f"{key}={value}"]
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        words += rng.choice(FLAGS).split()
    return words, chosen


def without_idle(small: dict[str, str], paper: str, form: str, *crossed: Any) -> dict[str, str]:
    """The sizes that the game would read: it would be refused for the others, before anything else is seen of it."""
    try:
        idle = unread(find_paper(paper), form, small, *crossed)
    except ValueError:
        idle = {}
    return {key: value for key, value in small.items() if key not in idle}


def value_for(rng: random.Random, key: str, usual: str) -> str:
    """A value that often fits a setting of a usual value, and often not."""
    if rng.random() < 0.15:
        return rng.choice(OTHERS)
    if key in CHOICES:
        return rng.choice(CHOICES[key].split())
    if usual in ("true", "false"):
        return rng.choice(("true", "false", "True", "1", "0"))
    return rng.choice(NUMBERS)


def place(folder: Path, name: str) -> Path:
    """A directory with the data in it."""
    here = folder / name
    here.mkdir()
    for file in world.FILES.values():
        (here / file).symlink_to(folder / file)
    return here


def hunt(servers: Servers, folder: Path, number: int, tally: Tally) -> None:
    words, chosen = words_of(number)
    here, command = place(folder, f"crossing-{number}"), " ".join(words)
    done = servers.run(*words, where=here)
    whole = tally.check(number, words, done)
    tally.count({0: "trained", 1: "diverged", 2: "refused"}.get(done.code, "broken"))  # type: ignore[arg-type]
    if whole and done.code == 1 and "not finite" not in done.err:
        tally.fault("exit code", number, f"{command}: 1, {done.err.strip().splitlines()[-1]}")
    if whole and done.code == 0 and "--dry-run" not in words:
        facts = json.loads((here / "run/run.json").read_text())
        for text in not_played(facts, words, chosen):
            tally.fault("no effect", number, f"{command}: {text}")
        judged = servers.run("judge", "run", "--json", where=here)
        if tally.check(number, [*words, "; judge run"], judged) and judged.code:
            tally.fault("trains, is not judged", number, f"{command}: {judged.err.strip().splitlines()[-1]}")
    shutil.rmtree(here)
    if number % 15 == 14:
        check_process(folder, number, words, done, tally)


def check_process(folder: Path, number: int, words: list[str], forked: Done, tally: Tally) -> None:
    """That a process which nobody forked ends in the same way."""
    here = place(folder, f"process-{number}")
    own = subprocess.run(
        [sys.executable, "-m", "ganzfeld", *words],
        cwd=here,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )
    tally.count("processes of their own")
    last = [text.strip().splitlines()[-1:] for text in (own.stderr, forked.err)]
    if own.returncode != forked.code or last[0] != last[1] and not forked.traceback:
        tally.fault(
            "ends otherwise", number, f"{' '.join(words)}: {own.returncode} {last[0]}, not {forked.code} {last[1]}"
        )
    shutil.rmtree(here)


def not_played(facts: dict[str, Any], words: list[str], chosen: dict[str, str]) -> list[str]:
    """What was asked for and is not in the record of the run."""
    found = []
    for key, text in chosen.items():
        name = key if "." in key else key.replace("-", "_")
        if name not in facts["settings"]:
            found.append(f"{name} is not among the settings")
        elif not same(facts["settings"][name], text):
            found.append(f"{name} is {facts['settings'][name]!r}")
    for flag in ("objective", "network", "seeds", "precision"):
        if f"--{flag}" in words and str(facts["plan"][flag]) != words[words.index(f"--{flag}") + 1]:
            found.append(f"{flag} is {facts['plan'][flag]}")
    asked = [words[i + 1] for i, word in enumerate(words) if word == "--constraint"]
    if asked and facts["plan"]["constraints"] != asked:
        found.append(f"constraints are {facts['plan']['constraints']}")
    return found


def same(value: Any, text: str) -> bool:
    """Whether a recorded value is what a text says."""
    text = text.strip()
    if isinstance(value, str):
        return value == text or same_number(value, text)
    if value is None or isinstance(value, bool):
        return str(value).lower() == text.lower()
    if isinstance(value, list):
        try:
            return value == list(ast.literal_eval(text))
        except (ValueError, SyntaxError, TypeError):
            return False
    return same_number(value, text)


def same_number(value: Any, text: str) -> bool:
    try:
        number = ast.literal_eval(text.lstrip("+")) if text[:2] == "0x" else float(text)
        return math.isclose(float(value), number)
    except (ValueError, SyntaxError):
        return False
