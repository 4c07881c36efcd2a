"""Faults in what guards the laws of the original game"""

import math
from functools import partial

import torch

from ganzfeld import constraints, game, metrics, objectives
from ganzfeld.draws.estimators import Reparametrised

from .planted import Fault, altered, half_a_fake, patched


def jensen_shannon_without_its_mixture(monkeypatch):
    monkeypatch.setattr(metrics, "optimal_discriminator_value", metrics.total_variation)


def value_in_bits(monkeypatch):
    right = metrics.optimal_discriminator_value
    monkeypatch.setattr(metrics, "optimal_discriminator_value", lambda p, q: right(p, q) / math.log(2))


def averaged_halves(monkeypatch):
    right = metrics.optimal_discriminator_value
    monkeypatch.setattr(metrics, "optimal_discriminator_value", lambda p, q: right(p, q) / 2)


def doubled_jensen_shannon(monkeypatch):
    right = metrics.jensen_shannon
    monkeypatch.setattr(metrics, "jensen_shannon", lambda p, q: 2 * right(p, q))


def value_without_a_rule_for_zero(monkeypatch):
    def wrong(p, q):
        return float((p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum())

    monkeypatch.setattr(metrics, "optimal_discriminator_value", wrong)


def critic_that_descends(monkeypatch):
    right = game.Game.update

    def wrong(self, role, state, gradient, memory, sizes, lead=0):
        return right(self, role, state, -gradient, memory, sizes, lead)

    monkeypatch.setattr(game.Game, "update", wrong)


def generator_replaced(name, cost):
    """An objective whose generator side is another function of the fake scores."""
    return altered(name, generator=lambda real, fake: cost(fake))


def log_d(o):
    return torch.nn.functional.logsigmoid(o)


ascending = generator_replaced("minimax", lambda o: -log_d(-o))
swapped = generator_replaced("minimax", lambda o: -log_d(o))


def probability_slope(o):
    """A cost whose slope is that of -D: the factor D (1 - D)."""
    return -torch.sigmoid(o)


def factors_replaced(factors):
    return lambda monkeypatch: monkeypatch.setattr(metrics, "payoff_factors", factors)


def summed_costs(monkeypatch):
    monkeypatch.setattr(Reparametrised, "__call__", lambda self, cost: cost.sum())


def norm_of_the_mean(monkeypatch):
    right = metrics.saturation

    def wrong(f, fake):
        slope = torch.func.grad(lambda x: objectives.minimax.generator(None, f(x)).mean())(fake)
        return right(f, fake)._replace(minimax=float(slope.sum(0).norm()))

    monkeypatch.setattr(metrics, "saturation", wrong)


naive = generator_replaced("minimax", lambda o: torch.log(1 - torch.sigmoid(o)))
saturating = generator_replaced("non-saturating", lambda o: log_d(-o))
doubled = generator_replaced("non-saturating", lambda o: -2 * log_d(o))


def exchanged_laws(monkeypatch):
    right = metrics.kullback_leibler
    monkeypatch.setattr(metrics, "kullback_leibler", lambda p, q: right(q, p))


def jensen_shannon_without_a_rule_for_zero(monkeypatch):
    def wrong(p, q):
        m = (p + q) / 2
        return float((p * (p / m).log() + q * (q / m).log()).sum() / 2)

    monkeypatch.setattr(metrics, "jensen_shannon", wrong)


def whole_mixture(monkeypatch):
    """The mixture without its half."""

    def wrong(p, q):
        return (metrics.kullback_leibler(p, p + q) + metrics.kullback_leibler(q, p + q)) / 2

    monkeypatch.setattr(metrics, "jensen_shannon", wrong)


def l1_norm(monkeypatch):
    monkeypatch.setattr(metrics, "total_variation", lambda p, q: float((p - q).abs().sum()))


def smoothed_logarithm(monkeypatch):
    def wrong(p, q):
        return float((p * ((p + 1e-12) / (q + 1e-12)).log()).sum())

    monkeypatch.setattr(metrics, "kullback_leibler", wrong)


transport = partial(patched, metrics, "w1")


def squared_transport(x, y):
    return transport_of(x, y) ** 2


def by_coordinate(x, y):
    return transport_of(x, y) / x.shape[1]


transport_of = metrics.w1


def unsorted_line(monkeypatch):
    monkeypatch.setattr(metrics, "w1_line", lambda x, y: float((x - y.sort().values).abs().mean()))


def penalty(term):
    """A gradient penalty that makes another term of the slopes between the two sides."""

    def plant(monkeypatch):
        def wrong(self, turn):
            between = tuple(
                constraints._mix(turn.noise["mix"], x, g) for x, g in zip(turn.real, turn.fake, strict=True)
            )
            return self.weight * term(constraints.slopes(turn.f, between))

        monkeypatch.setattr(constraints.GradientPenalty, "penalty", wrong)

    return plant


FAULTS = [
    Fault("optimal-critic", "half a fake score", half_a_fake, "argmax", "trained on four atoms: D"),
    Fault("optimal-critic", "another distance", jensen_shannon_without_its_mixture, "−log 4 + 2 JS"),
    Fault("optimal-critic", "a value over both halves' mean", averaged_halves, "−log 4 + 2 JS"),
    Fault("optimal-critic", "a value in bits", value_in_bits, "1,000 other discriminators"),
    Fault("optimal-critic", "a critic that descends", critic_that_descends, "a network on two Gaussians"),
    Fault("jensen-shannon", "twice the divergence, f-GAN's row", doubled_jensen_shannon, "JS of seven"),
    Fault("jensen-shannon", "a value in bits", value_in_bits, "their V", "V + log 4 − TV²"),
    Fault("jensen-shannon", "a value over both halves' mean", averaged_halves, "1,000 times q = p"),
    Fault("jensen-shannon", "0 log 0", value_without_a_rule_for_zero, "on four atoms"),
    Fault("jensen-shannon", "half a fake score", half_a_fake, "the objective at o", "on the way"),
    Fault("jensen-shannon", "a critic that descends", critic_that_descends, "at the end"),
    Fault("jensen-shannon", "the other generator's cost", swapped, "slope at fixed D*"),
    Fault("jensen-shannon", "a generator that ascends, in q", ascending, "q itself moves", "a mean moves"),
    Fault(
        "saturation",
        "D (1 - D) for 1 - D",
        factors_replaced(lambda o: (o.sigmoid(), probability_slope(o))),
        "d D / d o",
    ),
    Fault(
        "saturation", "1 - D by a difference", factors_replaced(lambda o: (o.sigmoid(), 1 - o.sigmoid())), "reported"
    ),
    Fault("saturation", "factors swapped", factors_replaced(lambda o: ((-o).sigmoid(), o.sigmoid())), "reported"),
    Fault(
        "saturation",
        "the slope of the probability",
        generator_replaced("minimax", probability_slope),
        "the factor, and D",
    ),
    Fault("saturation", "twice the cost", doubled, "the factor, and 1 − D", "ratio at o = −10"),
    Fault(
        "saturation",
        "the cost that saturates",
        saturating,
        "log of their ratio",
        "rose, by a factor of",
        "over D (1 − D) |grad o|",
    ),
    Fault("saturation", "two steps", naive, "from the raw score, at o = 17", "not finite"),
    Fault("saturation", "a sum over the batch", summed_costs, "gradient at a fake"),
    Fault("saturation", "the norm of a mean", norm_of_the_mean, "what is reported"),
    Fault("saturation", "a critic that descends", critic_that_descends, "fell, by a factor of"),
    Fault("non-saturating", "minimax that does not saturate", swapped, "minimax slope at", "minimax rests at width"),
    Fault("non-saturating", "a generator that ascends", ascending, "both slopes over θ"),
    Fault("non-saturating", "twice the cost", doubled, "slope at 1", "ratio at θ = 0.01"),
    Fault(
        "non-saturating",
        "the cost that saturates",
        saturating,
        "its gradient at five laws",
        "ratio at θ = 2",
        "degrees between",
        "slopes in the width",
        "slope of E[−log D*]",
        "the two widths differ",
        "least KL − 2 JS",
    ),
    Fault("non-saturating", "KL with its laws exchanged", exchanged_laws, "2 KL((p+q)/2 || p)"),
    Fault("non-saturating", "f-GAN's row for JS", doubled_jensen_shannon, "KL − 2 JS, the least"),
    Fault("disjoint-supports", "0 log 0", jensen_shannon_without_a_rule_for_zero, "JS at six distances", "slope of JS"),
    Fault("disjoint-supports", "f-GAN's row for JS", doubled_jensen_shannon, "two samples of one line: JS"),
    Fault("disjoint-supports", "a mixture of mass two", whole_mixture, "all three at θ = 0"),
    Fault("disjoint-supports", "the whole l1 norm", l1_norm, "total variation there"),
    Fault("disjoint-supports", "a logarithm that is kept from 0", smoothed_logarithm, "KL there"),
    Fault(
        "disjoint-supports",
        "points carried in their order",
        transport(lambda x, y: float((x - y).norm(dim=1).mean())),
        "W1 there",
    ),
    Fault("disjoint-supports", "squared distance", transport(squared_transport), "slope of W1"),
    Fault("disjoint-supports", "an average over the coordinates", transport(by_coordinate), "8-d"),
    Fault("disjoint-supports", "one side not sorted", unsorted_line, "times √(n)"),
    Fault("disjoint-supports", "half the penalty", penalty(lambda s: (s - 1).square() / 2), "slope, 1 + θ / 20"),
    Fault("disjoint-supports", "a penalty around 0", penalty(lambda s: s.square()), "minimax under the penalty"),
    Fault("disjoint-supports", "a critic that descends", critic_that_descends, "angle from the way"),
    Fault("disjoint-supports", "minimax that does not saturate", swapped, "fell by a factor of"),
    Fault("disjoint-supports", "the cost that saturates", saturating, "under −log D"),
]
