"""What every setting means, and how its value is read: the one home of both, for all papers.

A default is a paper's own (`Number`). Where it is None, None may be given, too.
"""

from __future__ import annotations

import ast
import typing
from typing import Any, Literal, NamedTuple

from ..core.values import (
    Betas,
    Count,
    NormOrder,
    NotNegative,
    Positive,
    Share,
    Size,
    SizeOrNone,
    Steps,
    Turns,
    TurnsOrNone,
    check,
)


class Setting(NamedTuple):
    """The type of a setting, and what it means. str: where a paper chooses between pieces, only their names fit."""

    type: Any
    meaning: str


SETTINGS: dict[str, Setting] = {
    "lr": Setting(Positive, "step size of both players at the start"),
    "critic_lr": Setting(Positive, "step size of the critic, in the place of lr"),
    "generator_lr": Setting(Positive, "step size of the generator side, in the place of lr"),
    "betas": Setting(Betas, "Adam's shares of the past in its two moments, in [0, 1)"),
    "optimizer": Setting(str, "how both players descend; the rates of sgd are for one row, and times their number"),
    "lr_schedule": Setting(
        Literal["constant", "linear", "cosine"],
        "how step sizes go over the steps: constant, or falling to 0 (linear, cosine)",
    ),
    "lr_warm_up": Setting(Count, "steps in which step sizes rise to their full value"),
    "n_critic": Setting(Turns, "critic turns a step"),
    "n_generator": Setting(Turns, "turns of the generator side a step"),
    "warm": Setting(TurnsOrNone, "critic turns of a step of the warm-up; 0: no warm-up"),
    "warm_steps": Setting(Count, "steps of the warm-up at the beginning"),
    "warm_every": Setting(Count, "later one step in so many has the warm-up's turns; 0: none"),
    "at_once": Setting(bool, "the generator side moves together with the last critic turn, not after it"),
    "batch_size": Setting(SizeOrNone, "rows a turn; 0, for rankings alone: all"),
    "ema_half_life": Setting(NotNegative, "half-life of the generator's moving average, in samples; 0: none"),
    "share_fakes": Setting(bool, "the generator's turn meets the fakes of the critic's turn before it"),
    "classes": Setting(int, "how many labels both players are told of, 0 for none; --labels counts them"),
    "augment": Setting(str, "before critic and penalties, of both sides: colour, translation, cutout, with commas"),
    # of objectives and constraints
    "weight": Setting(NotNegative, "weight of the penalty on slopes that are not 1"),
    "spread": Setting(NotNegative, "radius of the penalty's samples around the data, in deviations of the batch"),
    "gamma": Setting(NotNegative, "weight of the mean squared slope, times 1/2 as in the paper; 0: no penalty"),
    "bound": Setting(Positive, "half the width of the box that the critic's weights are clipped to"),
    "spectral_norm": Setting(Positive, "the largest singular value that every layer of the critic is given"),
    "cost": Setting(Positive, "C of the soft margin: the price of a score inside it"),
    "payoff": Setting(str, "the objective"),
    "alternative": Setting(
        bool, "the generator raises E g_f(v) (fgan-X-alternative), and does not lower the bound (fgan-X)"
    ),
    "form": Setting(str, "dual: the best critic of the features in closed form; primal: it is trained"),
    "q": Setting(NormOrder, "the norm l_q in which means of features are compared; 1, 2 or inf"),
    "k": Setting(Size, "how many singular values of the difference of covariances count"),
    "cycle": Setting(NotNegative, "weight of the mean square of x - G(E(x)); 0: none"),
    "cycle_z": Setting(NotNegative, "weight of the mean square of z - E(G(z)); 0: none"),
    # of rankers
    "reward": Setting(str, "what the policy is paid, as a function of the critic's score"),
    "averaged": Setting(bool, "all users share one reward of an item, its mean over them"),
    "critic_decay": Setting(NotNegative, "weight of the critic's squared weights, a pair; 0: none"),
    "decay": Setting(NotNegative, "weight of the squared weights, a pair; 0: none"),
    "temperature": Setting(Positive, "divides the policy's scores in its softmax"),
    "critic_temperature": Setting(Positive, "the same where the critic's negatives are drawn; none: temperature"),
    "exact": Setting(bool, "the policy's gradient is a sum over all documents, not a mean over draws"),
    "draws": Setting(Size, "documents drawn a query, where the gradient is not exact"),
    "replace": Setting(bool, "documents are drawn with replacement"),
    "baseline": Setting(Literal["none", "mean", "optimal"], "what is taken from the rewards of draws"),
    "is_lambda": Setting(Share, "share of known positives in the law that documents are drawn from, in [0, 1)"),
    "pool": Setting(Count, "candidates a query, drawn anew each turn, to which the policy is confined; 0: all"),
    "per_positive": Setting(Size, "negatives of each positive in the critic's turn"),
    "negatives": Setting(
        Literal["live", "frozen", "uniform"], "drawn from the policy as it is, from its first weights, or uniformly"
    ),
    "exclude": Setting(bool, "the policy never picks a known positive"),
    "pull": Setting(NotNegative, "weight of the divergence KL(policy, its start)"),
    "likelihood": Setting(NotNegative, "weight of the mean - log p of known positives in the policy's cost"),
    "bias_only": Setting(bool, "the policy has a bias of items and nothing of users"),
    "start": Setting(str, "what weights begin as: dns, ease, the path of a run, or nothing: afresh"),
    "start_steps": Setting(Steps, "steps of the dns that is trained first, where start is dns"),
    "critic_start": Setting(bool, "the critic begins where the policy does, not afresh"),
    "candidates": Setting(Size, "uniform draws of which the hardest is the negative"),
}

SIZES: dict[str, str] = {
    "width": "units of a hidden layer; of pictures channels, of the layer next to the picture",
    "depth": "hidden layers",
    "latent": "dimension of z; none: the samples' own, at most 32",
    "activation": "what stands between layers",
    "norm": "how the generator's layers are normalised",
    "critic_norm": "how the critic's layers are normalised",
    "features": "width of the critic's last hidden layer; none: as the others",
    "rank": "of a ranker's factors, or of the two matrices of a bilinear head",
    "spread": "factors start uniform in plus and minus this",
    "kernel": "side of a convolution",
    "critic_width": "channels of the critic",
    "pool": "how the critic's last features are put together over the picture",
    "most": "channels at the smallest sides",
    "blocks": "residual blocks at every side",
    "expand": "channels inside a block, in multiples of those outside",
    "groups": "of grouped convolutions",
    "pieces": "of a maxout unit; 1: a leaky ReLU",
}


CHOICES: dict[str, dict[str, str]] = {
    "lr_schedule": {
        "constant": "as they are",
        "linear": "to 0 along a line",
        "cosine": "to 0 along half a cosine",
    },
    "optimizer": {
        "adam": "by the running means of the gradient and of its square",
        "sgd": "along the gradient",
    },
    "payoff": {
        "hinge": "scores beyond 1 and -1 no longer count",
        "non-saturating": "the logistic losses",
    },
    "form": {
        "dual": "the best critic of the features, in closed form",
        "primal": "a linear head, trained in the ball that its constraint keeps it in",
    },
    "reward": {
        "softplus": "log(1 + exp f)",
        "tanh": "2 sigmoid(f) - 1; of pairs f is the difference of their scores",
        "log-sigmoid": "log sigmoid(f)",
        "constant": "1, whatever the critic thinks",
    },
    "baseline": {
        "none": "nothing",
        "mean": "their mean over the draws",
        "optimal": "what leaves the least variance",
    },
    "negatives": {
        "live": "from the policy as it is",
        "frozen": "from its first weights, once for every pair",
        "uniform": "all alike",
    },
    "activation": {
        "relu": "x, and 0 below 0",
        "leaky": "x, and x / 5 below 0",
        "tanh": "between -1 and 1",
        "elu": "x, and exp(x) - 1 below 0",
    },
    "norm": {
        "none": "not at all",
        "batch": "each unit over the batch",
        "layer": "each sample over the units",
    },
    "critic_norm": {
        "none": "not at all",
        "batch": "each unit over the batch, which no penalty on slopes allows",
        "layer": "each sample over the units",
    },
    "pool": {"sum": "over all places", "mean": "over all places"},
}
"""What the values of a setting stand for, where it is one of some names."""

CONSTRAINTS: dict[str, dict[str, str]] = {
    "clip": {
        "bound": "half the width of the box",
        "spare": "how the names begin of parameters that are left alone",
    },
    "gradient-penalty": {
        "weight": "of the penalty on slopes that are not 1",
        "one_sided": "slopes above 1 alone are penalised",
    },
    "dragan": {
        "weight": "of the penalty on slopes that are not 1",
        "spread": "radius of its samples around the data, in standard deviations of the batch",
    },
    "r1": {"gamma": "weight of the mean squared slope, times 1/2 as in the paper"},
    "r2": {"gamma": "weight of the mean squared slope, times 1/2 as in the paper"},
    "margin": {
        "cost": "C of the soft margin: the price of a score inside it",
        "points": "n, the samples that share the price; those of a batch unless given",
        "layer": "the weights that are the hyperplane",
    },
    "decay": {
        "weight": "of the squared weights, a pair",
        "even": "of all weights alike, not of the rows that a turn pulls",
    },
    "spectral": {
        "norm": "the largest singular value that every layer is given",
        "iterations": "steps of power iteration, a critic turn",
    },
    "ball": {
        "q": "the norm l_q in which means are compared, to which the ball is dual: 1, 2 or inf",
        "layer": "the weights of the linear head",
    },
    "orthonormal": {"layers": "U and V of the bilinear head"},
}
"""What a constraint's own settings mean, given as ``--set CONSTRAINT.SETTING=VALUE``."""


def read_value(key: str, value: Any, annotation: Any) -> Any:
    """A value, or the text of one, as the type that is asked for. Raises ValueError where it does not fit."""
    if isinstance(value, str) and annotation is not str and typing.get_origin(annotation) is not typing.Literal:
        value = _parse(value)
    return check(key, value, annotation)


def _parse(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return float(text)  # inf and nan, which are no literals
    except ValueError:
        return text
