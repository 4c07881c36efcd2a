"""Ganzfeld: the whole field of generative adversarial networks as one system.

*A draw makes the two sides of a comparison, a critic scores them, an objective turns the scores into what the critic
raises and the generator side lowers, and constraints bind the critic.*

>>> import ganzfeld as gz
>>> run = gz.train("wgan-gp", data="grid25", steps=20_000, seeds=8, out="runs/grid")
>>> run.judge()
>>> gz.load("runs/grid").sample(16)
"""

__version__ = "0.1.0"

from . import constraints, data, divergences, draws, laws, metrics, networks, objectives, optimizers, papers
from .constraints import R1, R2, Ball, Clip, Constraint, Dragan, GradientPenalty, Margin, Orthonormal, Spectral
from .draws import Draw, Generate, Hardest, Infer, Retrieve, Scene
from .engine import Engine
from .game import Game, Schedule
from .networks import MLP
from .objectives import Objective
from .runs.training import Diverged, Interrupted, train
from .tasks.generation import Run
from .tasks.loading import load
from .tasks.retrieval import Retrieval

__all__ = [
    "MLP", "R1", "R2", "Ball", "Clip", "Constraint", "Diverged", "Dragan", "Draw", "Engine", "Game", "Generate",
    "GradientPenalty", "Hardest", "Infer", "Interrupted", "Margin", "Objective", "Orthonormal", "Retrieval", "Retrieve",
    "Run", "Scene", "Schedule", "Spectral", "constraints", "data", "divergences", "draws", "laws", "load", "metrics",
    "networks", "objectives", "optimizers", "papers", "train",
]  # fmt: skip
