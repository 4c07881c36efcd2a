"""Faults in what guards the laws of bound critics"""

import copy
import math

import torch

from ganzfeld import constraints, metrics, networks
from ganzfeld.game import Game
from ganzfeld.networks import layers

from .planted import Fault, altered, patched


def chord_by_the_l1_norm(f, x, y):
    return float(((f(x) - f(y)).abs() / (x - y).abs().sum(1)).detach().max())


def chord_by_the_largest_entry(f, x, y):
    return float(((f(x) - f(y)).abs() / (x - y).abs().amax(1)).detach().max())


def chord_of_the_mean(f, x, y):
    return float(((f(x) - f(y)).abs() / (x - y).norm(dim=1)).detach().mean())


def transport_of_squares(x, y):
    return metrics.w1_line(x[:, 0], y[:, 0]) + metrics.w1_line(x[:, 1], y[:, 1])


def objective_with(critic):
    return altered("wasserstein", critic=critic)


def gaussians_by_the_sum_of_widths(m1, s1, m2, s2):
    return right_gaussians(m1, s1, m2, -s2) if s2 < 0 else math.hypot(m1 - m2, s1 - s2)


def slope_with(wrong):
    """The penalty reads another slope; wrong: of the right norms [B]."""
    right = constraints.slopes
    return patched(constraints, "slopes", lambda f, samples: wrong(right(f, samples)))


def gradients_of_the_batch_mean(f, *xs):
    return right_gradient_norms(f, *xs) / len(xs[0])


right_gaussians = metrics.w1_gaussians_1d
right_gradient_norms = metrics.gradient_norms

TRANSPORT = [
    ("pairs as they come", patched(metrics, "w1", lambda x, y: float((x - y).norm(dim=1).mean())), "all couplings"),
    ("one axis at a time", patched(metrics, "w1", transport_of_squares), "all 1-Lipschitz functions"),
    ("half an objective", objective_with(lambda real, fake: (real - fake) / 2), "the objective says"),
    ("a turned sign", objective_with(lambda real, fake: fake - real), "the objective says"),
    ("a doubled value", objective_with(lambda real, fake: 2 * (real - fake)), "other 1-Lipschitz functions"),
    ("lengths in another norm", patched(metrics, "difference_quotient", chord_by_the_l1_norm), "every matched pair"),
    ("another norm", patched(metrics, "difference_quotient", chord_by_the_largest_entry), "along every chord"),
    ("the mean chord", patched(metrics, "difference_quotient", chord_of_the_mean), "value / steepest chord"),
    ("samples not sorted", patched(metrics, "w1_line", lambda x, y: float((x - y).abs().mean())), "sorted W1"),
    (
        "W2 of Gaussians",
        patched(metrics, "w1_gaussians_1d", lambda a, s, b, t: math.hypot(a - b, s - t)),
        "N(1, 4)",
        "equal mean",
    ),
    ("a mean alone", patched(metrics, "w1_gaussians_1d", lambda a, s, b, t: abs(a - b)), "quantile integral"),
    ("a slope held at 0", slope_with(lambda norms: norms + 1), "less W1"),
    ("a slope without its graph", slope_with(torch.Tensor.detach), "its share of W1"),
    ("a gradient of the mean", patched(metrics, "gradient_norms", gradients_of_the_batch_mean), "steepest slope"),
]


def clip_with(project):
    return patched(constraints.Clip, "project", project)


def clip_before_the_step(monkeypatch):
    right = Game.update

    def wrong(self, role, state, gradient, memory, sizes, lead=0):
        bound = self.constraints[0].project(state["params"]["critic"])
        loose = copy.copy(self)
        object.__setattr__(loose, "constraints", ())
        return right(loose, role, {**state, "params": {**state["params"], "critic": bound}}, gradient, memory, sizes)

    monkeypatch.setattr(Game, "update", wrong)


def scaled(factor):
    return clip_with(
        lambda self, params: {n: p.clamp(-factor * self.bound, factor * self.bound) for n, p in params.items()}
    )


def without_biases(self, params):
    return {n: p.clamp(-self.bound, self.bound) if p.dim() > 1 else p for n, p in params.items()}


def on_the_ball(self, params):
    return {n: p * (self.bound / p.norm()).clamp(max=1) for n, p in params.items()}


def share_of_one_wall(params, bound, tolerance=1e-6):
    flat = torch.cat([w.flatten() for w in params.values()])
    return float((flat >= bound * (1 - tolerance)).double().mean())


def times(module, name, factor):
    right = getattr(module, name)
    return patched(module, name, lambda *args: factor * right(*args))


right_share = metrics.share_at_bound

CLIPPING = [
    ("a ball instead of a box", clip_with(on_the_ball), "the best in the box", "l1 norm"),
    ("a transport of 1 / n", times(metrics, "w1", 0.05), "c = 0.1: W1"),
    ("a transport without its 1 / n", times(metrics, "w1", 20), "c = 1: that value"),
    ("a clip before the step", clip_before_the_step, "the largest weight"),
    ("biases left alone", clip_with(without_biases), "the largest weight"),
    ("one wall counted", patched(metrics, "share_at_bound", share_of_one_wall), "the share of weights"),
    ("a lax count", patched(metrics, "share_at_bound", lambda p, c: right_share(p, c, 0.3)), "counted otherwise"),
    ("the mean chord", patched(metrics, "difference_quotient", chord_of_the_mean), "all three: value"),
    ("a sum of norms", patched(metrics, "product_bound", lambda p: sum(metrics.spectral_norms(p).values())), "product"),
    ("a gradient of the mean", patched(metrics, "gradient_norms", gradients_of_the_batch_mean), "corner of the box"),
    ("twice the box", scaled(2), "steepest chord / bound", "steepest gradient"),
    ("half an objective", objective_with(lambda real, fake: (real - fake) / 2), "weights all at c"),
    ("half the box", scaled(0.5), "random signs"),
    ("ten times the box", scaled(10), "8 trained layers", "c = 0.01: its mean slope"),
    ("a fifth of the box", scaled(0.2), "c = 0.5: gradient", "c = 0.5: its mean slope"),
    ("no clip", clip_with(lambda self, params: params), "the largest weight"),
]


def penalty_with(wrong):
    right = constraints.GradientPenalty.penalty
    return patched(constraints.GradientPenalty, "penalty", lambda *args: wrong(right, *args))


def norm_over_channels(right, self, turn):
    points = constraints._mix(turn.noise["mix"], turn.real[0], turn.fake[0])
    if points.dim() == 2:
        return right(self, turn)
    (gradient,) = constraints._gradients(turn.f, (points,))
    return self.weight * (gradient.norm(dim=1) - 1).square().flatten(1).mean(1)


def always_one_sided(right, self, *args):
    return right(constraints.GradientPenalty(self.weight, True), *args)


def half_a_lambda(right, self, *args):
    return right(self, *args) / 2


def a_number_per_entry(weight, real, fake):
    return torch.lerp(fake, real, (weight.view(-1, *[1] * (real.dim() - 1)) + torch.linspace(0, 0.5, real.shape[-1])))


def beyond_the_ends(weight, real, fake):
    return torch.lerp(fake, real, 1 + weight.view(-1, *[1] * (real.dim() - 1)))


def first_derivative_only(monkeypatch):
    right = constraints._gradients
    monkeypatch.setattr(constraints, "_gradients", lambda f, x: tuple(g.detach() for g in right(f, x)))


def mixing_with_itself(f, x):
    return float(torch.func.jacrev(f)(x).detach().abs().max())


def mixing_of_the_total(f, x):
    total = torch.func.jacrev(lambda x: f(x).sum())(x)
    return float((total - total).abs().max())


PENALTY = [
    ("a squared norm", slope_with(torch.square), "shift (3, 4): slope"),
    ("half a lambda", penalty_with(half_a_lambda), "penalty included", "what it prints", "other lambdas"),
    ("ten times lambda", penalty_with(lambda right, *args: 10 * right(*args)), "what it prints, less W1"),
    ("a norm over the channels", penalty_with(norm_over_channels), "pictures, slope 1", "slope 8"),
    ("a norm of ones", slope_with(lambda norms: norms * 0 + 1), "each pixel a sample"),
    ("one side only", penalty_with(always_one_sided), "slope 1/2: penalty"),
    ("both sides always", slope_with(lambda norms: 2 - norms), "one-sided"),
    ("one number an entry", patched(constraints, "_mix", a_number_per_entry), "how far off"),
    ("beyond the ends", patched(constraints, "_mix", beyond_the_ends), "how far off"),
    ("a doubled value", objective_with(lambda real, fake: 2 * (real - fake)), "what it prints: W1 (1"),
    ("a turned sign", objective_with(lambda real, fake: fake - real), "angle to the real end"),
    ("half a slope wanted", slope_with(lambda norms: norms + 0.5), "between two lines: gradient norm"),
    ("a gradient of the mean", patched(metrics, "gradient_norms", gradients_of_the_batch_mean), "between two lines"),
    ("slopes all alike", patched(metrics, "gradient_norms", lambda f, x: torch.ones(len(x))), "largest |slope − 1|"),
    ("no second derivative", first_derivative_only, "derivative by the weights", "function transforms"),
    ("a sample mixed with itself", patched(metrics, "sample_mixing", mixing_with_itself), "no norm, layer norm"),
    ("mixing that cancels", patched(metrics, "sample_mixing", mixing_of_the_total), "batch norm"),
    ("batch norm overlooked", patched(networks, "mixes_samples", lambda module: False), "the game refuses"),
]


def dress_with(scale):
    """Every weight times a scale of (weight [out, rest], u, v) after the right step of the vectors."""
    right = constraints.Spectral.dress

    def wrong(self, params, state, advance):
        _, state = right(self, params, state, advance)
        weights = {name: params[name].flatten(1) for name in params if f"{name}.u" in state}
        factors = {n: self.norm * scale(w, state[f"{n}.u"], state[f"{n}.v"]) for n, w in weights.items()}
        return {n: p * factors.get(n, 1) for n, p in params.items()}, state

    return patched(constraints.Spectral, "dress", wrong)


def sigma(w, u, v):
    return torch.dot(u, w @ v)


def of_a_norm_not_asked_for(monkeypatch):
    right = constraints.Spectral.dress
    monkeypatch.setattr(
        constraints.Spectral, "dress", lambda self, *args, **advance: right(constraints.Spectral(), *args, **advance)
    )


def vectors_that_stand_still(monkeypatch):
    right = constraints.Spectral.dress
    monkeypatch.setattr(constraints.Spectral, "dress", lambda self, p, s, advance: right(self, p, s, False))


def half_a_step(monkeypatch):
    """v moves by what u was a turn ago."""
    right = constraints.Spectral.dress

    def wrong(self, params, state, advance):
        dressed, moved = right(self, params, state, advance)
        lazy = {n: (moved[n] + 3 * state[n]) / (moved[n] + 3 * state[n]).norm() for n in moved}
        return dressed, lazy if advance else moved

    monkeypatch.setattr(constraints.Spectral, "dress", wrong)


def flat_start(monkeypatch):
    right = constraints.Spectral.init

    def wrong(self, params):
        return {name: torch.ones_like(v) / math.sqrt(len(v)) for name, v in right(self, params).items()}

    monkeypatch.setattr(constraints.Spectral, "init", wrong)


def rows_summed(params):
    return {n: float(w.detach().flatten(1).abs().sum(1).max()) for n, w in params.items() if w.dim() > 1}


def repeated_edges(self, x):
    p = self.padding
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, [p] * 4, mode="replicate"), self.weight)


def turned_kernel(self, x):
    return torch.nn.functional.conv2d(x, self.weight.abs(), padding=self.padding)


def pooled_without_its_quarter(self, x):
    return torch.nn.functional.conv2d(x, layers.four_shifts(self.weight), stride=2, padding=1)


SCALE = {
    "frobenius": dress_with(lambda w, u, v: 1 / w.norm()),
    "cap": dress_with(lambda w, u, v: 1 / sigma(w, u, v).clamp(min=1)),
    "constant": dress_with(lambda w, u, v: 1 / sigma(w, u, v).detach()),
    "exact": dress_with(lambda w, u, v: 1 / torch.linalg.matrix_norm(w, 2)),
    "double": dress_with(lambda w, u, v: 2 / sigma(w, u, v)),
}

SPECTRUM = [
    (
        "half a sigma, step by step",
        SCALE["double"],
        "every step: estimate",
        "on a torus",
        "of norm 1: operator",
        "then a sum: product",
    ),
    ("the Frobenius norm", SCALE["frobenius"], "estimate / σ", "norms, every step", "operator, smallest"),
    ("the mean chord", patched(metrics, "difference_quotient", chord_of_the_mean), "at rest: steepest chord"),
    ("lazy vectors", half_a_step, "error of the vector", "error of the estimate"),
    ("vectors that stand still", vectors_that_stand_still, "100 steps", "at rest: that product is"),
    ("a decomposition each turn", SCALE["exact"], "norms after one step", "a moving perceptron"),
    ("a flat start", flat_start, "exact vectors"),
    ("a norm not asked for", of_a_norm_not_asked_for, "norms c"),
    ("a cap", SCALE["cap"], "0.01 I"),
    ("a constant sigma", SCALE["constant"], "gradient through σ"),
    ("a sum of norms", patched(metrics, "product_bound", lambda p: sum(metrics.spectral_norms(p).values())), "at rest"),
    ("twice the gradient", times(metrics, "gradient_norms", 2), "steepest gradient / product"),
    ("a gradient of the mean", patched(metrics, "gradient_norms", gradients_of_the_batch_mean), "steepest chord /"),
    ("rows summed", patched(metrics, "spectral_norms", rows_summed), "of ones: flattened norm"),
    ("edges repeated", patched(layers.Conv, "forward", repeated_edges), "edges of 0"),
    ("another kernel", patched(layers.Conv, "forward", turned_kernel), "matrix, and Fourier"),
    ("a sum for a mean", patched(layers.PooledConv, "forward", pooled_without_its_quarter), "2 x 2 places"),
    (
        "a mean for a sum",
        patched(layers.SumPool, "forward", lambda self, x: x.mean((2, 3))),
        "8 x 8 places",
        "its slope",
    ),
    ("one way only", patched(layers.Residual, "forward", lambda self, x: self.way(x)), "x + SN(x)"),
]

FAULTS = [
    *(Fault("kantorovich-rubinstein", *fault) for fault in TRANSPORT),
    *(Fault("weight-clipping", *fault) for fault in CLIPPING),
    *(Fault("gradient-penalty", *fault) for fault in PENALTY),
    *(Fault("spectral-norm", *fault) for fault in SPECTRUM),
]
