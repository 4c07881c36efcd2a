"""Faults in what guards the laws of games that are more than a critic and a generator of samples"""

from functools import partial

import torch
from torch import Tensor

from ganzfeld import constraints, game, metrics, networks, objectives, optimizers
from ganzfeld.draws import Infer, Retrieve, Scene, ScoreFunction, retrieve
from ganzfeld.objectives import apart

from .planted import Fault, altered, half_a_fake, patched


def paired(change):
    """The scene of a draw of pairs, changed."""
    call = Infer.__call__

    def plant(monkeypatch):
        monkeypatch.setattr(Infer, "__call__", lambda self, *turn: change(call(self, *turn), self, *turn))

    return plant


def exchanged(scene: Scene, *_) -> Scene:
    return scene._replace(real=scene.fake, fake=scene.real)


def codes_of_other_rows(scene: Scene, *_) -> Scene:
    return scene._replace(fake=(scene.fake[0], scene.fake[1].flip(0)))


def held_encoder(scene: Scene, *_) -> Scene:
    return scene._replace(real=(scene.real[0], scene.real[1].detach()))


def noise_for_all(scene: Scene, draw, players, batch, noise, role) -> Scene:
    if "e" not in noise:
        return scene
    return scene._replace(real=(scene.real[0], players["encoder"](*batch, noise["e"])))


def copies_of_fakes(scene: Scene, draw, *_) -> Scene:
    if scene.cost is None:
        return scene
    return scene._replace(cost=draw.cycle * (scene.real[0] - scene.fake[0]).flatten(1).square().mean(1))


def encoder_with(deviation):
    def moments(self, x: Tensor):
        mean, log_std = self.last(self.trunk(x)).chunk(2, 1)
        return mean, deviation(log_std)

    return lambda monkeypatch: monkeypatch.setattr(networks.Encoder, "moments", moments)


def all_move(monkeypatch):
    monkeypatch.setattr(game.Game, "moved", lambda self, params, role: params)


metric = partial(patched, metrics)
minimax, non_saturating = objectives.minimax, objectives.non_saturating
mean_of_sides = altered("minimax", critic=lambda real, fake: minimax.critic(real, fake) / 2)
cost = partial(non_saturating.generator, None)
swapped_on_one_side = altered("non-saturating", generator=apart(cost, real=cost))
variance = encoder_with(lambda log_std: (2 * log_std).exp())
logarithm = encoder_with(lambda log_std: log_std)


def deals(change):
    """What a policy's draws are and weigh, changed."""
    proposed = Retrieve._proposed

    def plant(monkeypatch):
        monkeypatch.setattr(Retrieve, "_proposed", lambda self, *asked: change(self, *proposed(self, *asked), *asked))

    return plant


def unweighted(draw, pick, weight, *_):
    return pick, torch.ones_like(weight)


def replaced(draw, pick, weight, log_p, query, noise):
    """With replacement after all."""
    if draw.replace:
        return pick, weight
    return retrieve._picked(log_p.exp(), noise["d"][:, : draw.draws]), torch.ones_like(weight)


def untempered(monkeypatch):
    logits = Retrieve._logits
    monkeypatch.setattr(
        Retrieve, "_logits", lambda self, ranker, query, noise, _: logits(self, ranker, query, noise, 1.0)
    )


def baseline(wrong):
    return lambda monkeypatch: monkeypatch.setattr(ScoreFunction, "held_against", wrong)


own_cost_too = baseline(lambda self, cost: cost.mean(-1, keepdim=True))
no_baseline = baseline(lambda self, cost: 0.0)
mean_of_others = baseline(
    lambda self, cost: 0.0 if self.baseline == "none" else (cost.sum(-1, keepdim=True) - cost) / (cost.shape[-1] - 1)
)


def summed(monkeypatch):
    estimate = ScoreFunction.__call__
    monkeypatch.setattr(ScoreFunction, "__call__", lambda self, cost: estimate(self, cost) * len(cost))


upward = altered("minimax", generator=lambda real, fake: -minimax.generator(real, fake))
halved = metric("total_variation", lambda p, q: float((p - q).abs().sum() / 4))

POLICY = [
    Fault("policy-gradient", "one temperature for all", untempered, "exact gradient", "when cold"),
    Fault(
        "policy-gradient",
        "a baseline of its own cost",
        own_cost_too,
        "whatever the baseline",
        "the same from a mixed proposal",
    ),
    Fault(
        "policy-gradient",
        "draws of a proposal without weights",
        deals(unweighted),
        "a mixed proposal",
        "the weighted mean",
    ),
    Fault(
        "policy-gradient", "draws with replacement", deals(replaced), "shares of picks", "as published", "a plain mean"
    ),
    Fault("policy-gradient", "no baseline", no_baseline, "variance of an estimate", "none over mean", "mean over none"),
    Fault("policy-gradient", "a plain mean for the optimal", mean_of_others, "mean over optimal"),
    Fault("policy-gradient", "a sum over queries", summed, "one draw against a constant", "from it without weights"),
    Fault(
        "policy-gradient",
        "a reward that is lowered",
        upward,
        "at the end of small steps",
        "its best critic",
        "the policy is back",
    ),
    Fault("policy-gradient", "half a fake score", half_a_fake, "the critic's gradient"),
    Fault("policy-gradient", "a distance halved twice", halved, "least distance"),
]


def whole_r1(monkeypatch):
    penalty = constraints.R1.penalty
    monkeypatch.setattr(constraints.R1, "penalty", lambda self, *args: 2 * penalty(self, *args))


def no_r1(monkeypatch):
    monkeypatch.setattr(constraints.R1, "penalty", lambda self, turn: torch.zeros(len(turn.fake[0])))


def stale_critic(monkeypatch):
    """The generator answers the critic of before its turn."""
    turn, before = game.Game.turn, {}

    def wrong(self, role, state, *rest):
        if role == "critic":
            before["critic"] = state["params"]["critic"]
            return turn(self, role, state, *rest)
        new, record = turn(self, role, {**state, "params": {**state["params"], **before}}, *rest)
        return {**new, "params": {**new["params"], "critic": state["params"]["critic"]}}, record

    monkeypatch.setattr(game.Game, "turn", wrong)


def descent(wrong):
    """Gradient descent whose step is changed."""
    sgd = optimizers.sgd

    def rule(*settings):
        right = sgd(*settings)
        return right._replace(step=lambda g, state, sizes: (wrong(right.step(g, state, sizes)[0]), state))

    return lambda monkeypatch: monkeypatch.setattr(optimizers, "sgd", rule)


def taken_back_never(monkeypatch):
    """An optimistic step that goes twice along the new direction and leaves it at that."""
    optimistic = optimizers.optimistic_adam

    def rule(*settings):
        right = optimistic(*settings)

        def step(g, state, sizes):
            move, new = right.step(g, state, sizes)
            return move + state["last"], new

        return right._replace(step=step)

    monkeypatch.setattr(optimizers, "optimistic_adam", rule)


def divided_kl(monkeypatch):
    """A mean over the modes in the place of the sum."""
    coverage = metrics.mode_coverage

    def wrong(samples, centres, std):
        right = coverage(samples, centres, std)
        return right._replace(reverse_kl=right.reverse_kl / len(centres))

    monkeypatch.setattr(metrics, "mode_coverage", wrong)


wasserstein, hinge = objectives.wasserstein.critic, objectives.hinge.critic
half_a_fake_score = altered("wasserstein", critic=lambda real, fake: wasserstein(real, fake / 2))
half_a_hinge = altered("hinge", critic=lambda real, fake: hinge(real, fake / 2))
doubled, halved_step = descent(lambda m: 2 * m), descent(lambda m: m / 2)

DYNAMICS = [
    Fault("dynamics", "half a fake score", half_a_fake, "eigenvalues of the flow"),
    Fault("dynamics", "half a fake score, linear", half_a_fake_score, "of the Wasserstein and hinge games"),
    Fault("dynamics", "half a fake score, hinge", half_a_hinge, "of the Wasserstein and hinge games"),
    Fault("dynamics", "R1 without its half", whole_r1, "with R1, and roots", "plain recurrences"),
    Fault(
        "dynamics",
        "no R1",
        no_r1,
        "their largest real part",
        "with R1: distance",
        "a critic under R1: the same",
        "least difference",
        "slope of the one",
    ),
    Fault("dynamics", "a doubled step", doubled, "a step at once, h = 0.1"),
    Fault("dynamics", "half a step", halved_step, "at once: distance"),
    Fault("dynamics", "a stale critic", stale_critic, "a step each in turn", "in turn: distance in all rounds"),
    Fault("dynamics", "a step never taken back", taken_back_never, "optimistic: the same"),
    Fault("dynamics", "a mean over modes", divided_kl, "any critic: KL"),
]

INFERENCE = [
    Fault("inference", "half a fake score", half_a_fake, "V at log q/p", "half the noise: a trained critic's value"),
    Fault("inference", "the mean of both sides", mean_of_sides, "the least of them, and −log 4"),
    Fault(
        "inference", "another distance", metric("optimal_discriminator_value", metrics.total_variation), "the metric"
    ),
    Fault(
        "inference",
        "codes of other rows",
        paired(codes_of_other_rows),
        "that pair",
        "pairs of maps that reach it",
        "the second least",
        "covariances of both joints",
    ),
    Fault(
        "inference",
        "copies of fakes",
        paired(copies_of_fakes),
        "its mean (x − G(E(x)))²",
        "and 2 s²",
        "so equal joints leave it open",
    ),
    Fault("inference", "the sides exchanged", paired(exchanged), "a table trained on stochastic pairs"),
    Fault("inference", "a variance for a deviation", variance, "matched noise: covariances", "can still gain"),
    Fault("inference", "a logarithm for a deviation", logarithm, "maps that ignore each other", "and 2 Var x"),
    Fault("inference", "noise for all encoders", paired(noise_for_all), "variance of its codes", "its joint: value"),
    Fault("inference", "an encoder that is held", paired(held_encoder), "the smaller of their norms", "and autograd's"),
    Fault("inference", "labels swapped on one side", swapped_on_one_side, "cross-entropy of swapped labels"),
    Fault("inference", "all move", all_move, "how far the critic moves"),
]


FAULTS = [*INFERENCE, *POLICY, *DYNAMICS]
