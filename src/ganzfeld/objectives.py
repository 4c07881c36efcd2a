r"""Objectives: how scores become what the critic raises and what the generator side lowers.

An objective is a pair of pure functions of (real, fake) scores, unreduced. The game takes their means, ascends the
mean of ``critic`` in the critic and descends the mean of ``generator`` in the generator side; no sign is decided
anywhere else. Scores are raw: no network ends in a sigmoid, and :math:`\log D = -\mathrm{softplus}(-o)`,
:math:`\log(1 - D) = -\mathrm{softplus}(o)` stay finite where the naive forms are infinite or, clamped, have no
gradient. Real means high in every objective here.

A generator side that makes fakes alone leaves the real scores' part of its cost out: to it that part is a constant.
Where it makes a part of the real side as well, as an encoder does (ALI, BiGAN), the cost of both sides counts. The
non-saturating cost of the real side is that of the fake one with the labels swapped.

Two kinds of critic output exist. *Scores* [B] have a cost per sample. *Features* [B, m] are compared by their means
or second moments (McGAN); such a value is not linear in the batch mean, is biased upwards on small batches (even for
equal laws), and has no cost per sample.

An objective may remember (`Memory`): a moment averaged over turns, a weight that is annealed, costs that read classes
are functions of what was seen, of the turn's number and of the labels, and in each turn an ordinary pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from . import divergences
from .core.values import NormOrder, Size, check
from .divergences import Divergence

State = Mapping[str, Tensor]


class Context(NamedTuple):
    """What an objective may read beside the scores. state: what it remembers; number: of the turn, 1, 2, ... of the
    role that moves (a tensor [] inside a graph); labels: of the scores' rows, (y,) or ()."""

    state: State
    number: int | Tensor
    labels: tuple[Tensor, ...]


class Memory(NamedTuple):
    """Of an objective that is another one in every turn.

    at(context) -> the objective of a turn. init(critic's weights) -> the state before the first. remember(context,
    real, fake) -> the state after a turn of the critic, from its scores, constants here, of all ranks.
    """

    at: Callable[[Context], Objective]
    init: Callable[[dict[str, Tensor]], State] = lambda params: {}
    remember: Callable[[Context, Tensor, Tensor], State] = lambda context, real, fake: context.state


class Objective(NamedTuple):
    """What a critic's scores are worth to the two sides.

    critic(real, fake) -> [B] or []; its mean is ascended by the critic.
    generator(real, fake) -> [B] or []; its mean is descended by the generator side.
    relative: what a fake costs depends on the real scores. Where it does not, and no part of the real side is the
    generator side's, the game saves that forward pass and hands over None (`apart`).
    features: the scores are features [B, m] of the critic's last hidden layer, not numbers [B]; least_features: the
    smallest m that can be compared.
    bounded: the value has an optimum for unconstrained critics; where False (Wasserstein), a critic without a
    constraint has nothing that stops it.
    memory: of one that depends on more than the scores; ``critic`` and ``generator`` are then those of a first turn.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Any, Tensor], Tensor]
    relative: bool = True
    features: bool = False
    bounded: bool = True
    memory: Memory | None = None
    least_features: int = 1

    def at(self, context: Context) -> Objective:
        """The objective of one turn."""
        return self.memory.at(context) if self.memory else self


def apart(fake: Callable[[Tensor], Tensor], real: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """The generator side's cost as a sum over the two sides, the fake one's alone where the real scores are None."""
    return lambda o_real, o_fake: fake(o_fake) if o_real is None else fake(o_fake) + real(o_real)


def _classify(real: Tensor, fake: Tensor) -> Tensor:
    return logsigmoid(real) + logsigmoid(-fake)


minimax = Objective(
    critic=_classify,
    generator=apart(lambda o: logsigmoid(-o), real=logsigmoid),  # saturates: its gradient carries the factor D
    relative=False,
)
r""":math:`V = E\log D(x) + E\log(1 - D(G(z)))`. Goodfellow et al. 2014, eq. 1."""

non_saturating = Objective(
    critic=_classify,
    # factor 1 - D: another game, KL - 2 JS at the optimal critic
    generator=apart(lambda o: -logsigmoid(o), real=lambda o: -logsigmoid(-o)),
    relative=False,
)
r"""The generator raises :math:`E\log D(G(z))`. Goodfellow et al. 2014, section 3; for both sides Dumoulin et al. 2017
(ALI), section 2.2."""

tanh = Objective(
    critic=_classify,
    generator=apart(lambda o: -torch.tanh(o / 2), real=lambda o: torch.tanh(o / 2)),  # 2 sigmoid(o) - 1
    relative=False,
)
r"""The generator raises :math:`2 (\sigma(f) - 1/2)`, a reward between -1 and 1, where that of `minimax` is
:math:`\mathrm{softplus}(f)`, positive and unbounded, and that of `non_saturating` :math:`\log \sigma(f)`, negative.
Wang et al. 2017 (IRGAN), their code."""

least_squares = Objective(
    critic=lambda real, fake: -((real - 1) ** 2) - fake**2,
    generator=apart(lambda o: (o - 1) ** 2, real=lambda o: o**2),
    relative=False,
)
"""Targets 0, 1 and 1, without the factor 1/2. Mao et al. 2017 (LSGAN), eq. 9."""

wasserstein = Objective(
    critic=lambda real, fake: real - fake,
    generator=apart(torch.neg, real=torch.positive),
    relative=False,
    bounded=False,
)
r""":math:`E f(x) - E f(G(z))`: :math:`W_1` where f ranges over all 1-Lipschitz functions. Arjovsky et al. 2017."""

hinge = Objective(
    critic=lambda real, fake: -torch.relu(1 - real) - torch.relu(1 + fake),
    generator=apart(torch.neg, real=torch.positive),
    relative=False,
)
r"""The soft-margin classifier; at its pointwise optimum :math:`\mathrm{sign}(p - q)` the critic's loss is
:math:`2(1 - TV)`. Lim and Ye 2017 (geometric GAN); Miyato et al. 2018, eq. 16 and 17."""

relativistic = Objective(
    critic=lambda real, fake: logsigmoid(real - fake),
    generator=lambda real, fake: -logsigmoid(fake - real),
)
"""Pairs a real with a fake score. Jolicoeur-Martineau 2019; Huang et al. 2024 (R3GAN)."""


relativistic_tanh = Objective(
    critic=lambda real, fake: logsigmoid(real - fake),
    generator=lambda real, fake: -torch.tanh((fake - real) / 2),
)
"""`relativistic`, with the bounded reward of `tanh`. Wang et al. 2017 (IRGAN), their code, pairwise."""


def fgan(divergence: Divergence, alternative: bool = False) -> Objective:
    r"""The variational bound of an f-divergence.

    .. math:: E\,g_f(v(x)) - E\,f^*(g_f(v(G(z))))

    alternative: the generator ascends :math:`E\,g_f(v)` of its samples instead of descending the bound, the
    non-saturating payoff of the family; with the labels swapped it descends the bound's second term on real samples.
    Source: Nowozin, Cseke, Tomioka 2016, eq. 6 and section 3.2.
    """
    activation, bound = divergence.activation, divergence.bound
    return Objective(
        critic=lambda real, fake: activation(real) - bound(fake),
        generator=apart(lambda o: -activation(o), real=bound)
        if alternative
        else apart(lambda o: -bound(o), real=activation),
        relative=False,
    )


def mean_matching(q: float = 2.0) -> Objective:
    r"""Match the means of the critic's features in the dual norm.

    .. math:: V = \| E_P\,\phi(x) - E_Q\,\phi(x) \|_q

    real, fake: features [B, m]. Returns []: not linear in the batch mean. At equal laws and q = 2 the value of a
    batch of n is about :math:`\sqrt{2m/n}`, not 0. q: 1, 2 or inf; raises ValueError below 1.
    Source: Mroueh, Sercu, Goel 2017 (McGAN), the dual form of IPM_mu.
    """
    check("q", q, NormOrder)
    return _features(lambda real, fake: torch.linalg.vector_norm(real.mean(0) - fake.mean(0), q))


def covariance_matching(k: int = 16) -> Objective:
    r"""Match the uncentred second moments of the critic's features in the Ky Fan k-norm.

    .. math:: V = \sum_{j \le k} \sigma_j\big(E_P\,\phi\phi^T - E_Q\,\phi\phi^T\big)

    real, fake: features [B, m] with m >= k. Returns []. The difference is symmetric but indefinite, so its left and
    right singular vectors differ in sign: forcing them equal would lose the negative directions.
    Source: Mroueh, Sercu, Goel 2017 (McGAN), the dual form of IPM_Sigma.
    """
    check("k", k, Size)
    return _features(lambda real, fake: ky_fan(second_moment(real) - second_moment(fake), k), k)


def mean_and_covariance_matching(q: float = 2.0, k: int = 16) -> Objective:
    """The sum of both. Source: Mroueh, Sercu, Goel 2017 (McGAN), IPM_{mu, Sigma}."""
    mean, covariance = mean_matching(q).critic, covariance_matching(k).critic
    return _features(lambda real, fake: mean(real, fake) + covariance(real, fake), k)


def _features(value: Callable[[Tensor, Tensor], Tensor], least: int = 1) -> Objective:
    return Objective(critic=value, generator=value, features=True, bounded=False, least_features=least)


def second_moment(features: Tensor) -> Tensor:
    """E phi phi^T, not centred: [B, m] -> [m, m]."""
    return features.T @ features / features.shape[0]


def ky_fan(symmetric: Tensor, k: int) -> Tensor:
    """The sum of the k largest singular values of a symmetric matrix, the k largest absolute eigenvalues; nan where an
    entry is not finite, for which a decomposition would raise. Decomposed in double precision: in single LAPACK can
    fail on the moments of features that are all alike."""
    finite = torch.isfinite(symmetric).all()
    values = torch.linalg.eigvalsh(torch.where(finite, symmetric, 0.0).double())
    return torch.where(finite, values.abs().topk(k).values.sum(), torch.nan).to(symmetric.dtype)


TABLE: dict[str, Objective] = {
    "minimax": minimax,
    "non-saturating": non_saturating,
    "tanh": tanh,
    "least-squares": least_squares,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic": relativistic,
    "relativistic-tanh": relativistic_tanh,
    **{f"fgan-{name}": fgan(divergence) for name, divergence in divergences.TABLE.items()},
    **{f"fgan-{name}-alternative": fgan(row, alternative=True) for name, row in divergences.TABLE.items()},
    "mean-1": mean_matching(1.0),
    "mean-2": mean_matching(2.0),
    "mean-inf": mean_matching(math.inf),
    "covariance": covariance_matching(),
    "mean-covariance": mean_and_covariance_matching(),
}

BOUNDED: dict[str, str] = {
    "kl": "the Kullback-Leibler divergence",
    "rkl": "the reverse Kullback-Leibler divergence",
    "pearson": "the Pearson chi-square divergence",
    "neyman": "the Neyman chi-square divergence",
    "hellinger": "the squared Hellinger distance",
    "js": "twice the Jensen-Shannon divergence",
    "gan": "the original game's divergence, 2 JS - log 4",
    "tv": "the total variation distance",
}
"""What the bound of each row of `divergences.TABLE` is of."""

SENTENCES: dict[str, str] = {
    "minimax": "Both sides play for the same value; the generator's gradient fades where the critic is sure.",
    "non-saturating": "The generator raises what the critic thinks real, and learns even where the critic is sure.",
    "tanh": "The classifier's critic; the generator's reward lies between -1 and 1.",
    "least-squares": "Scores are drawn to 1 on real samples and to 0 on fake ones, the generator's to 1.",
    "wasserstein": "The difference of mean scores: the Wasserstein distance under a 1-Lipschitz critic.",
    "hinge": "The soft-margin classifier: scores beyond 1 and -1 no longer count.",
    "relativistic": "A real sample is to score higher than the fake one beside it.",
    "relativistic-tanh": "The same pairs; the generator's reward lies between -1 and 1.",
    **{f"fgan-{name}": f"The variational bound of {what}; the generator lowers it." for name, what in BOUNDED.items()},
    **{
        f"fgan-{name}-alternative": f"The same bound, of {what}; the generator raises its first term, at its samples."
        for name, what in BOUNDED.items()
    },
    "mean-1": "The means of the critic's features, apart in the norm of sums.",
    "mean-2": "The means of the critic's features, apart in the Euclidean norm.",
    "mean-inf": "The means of the critic's features, apart in the norm of the largest.",
    "covariance": "The second moments of the critic's features, apart in the sum of the k largest singular values.",
    "mean-covariance": "The sum of both, means and second moments.",
}
"""What each entry of `TABLE` is, in words for a list."""
