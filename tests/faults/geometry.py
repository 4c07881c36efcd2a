"""Faults in what guards the laws of features, hyperplanes, f-divergences and pictures"""

import torch
from torch.nn import functional as F

from ganzfeld import constraints, divergences, metrics, objectives, optimizers
from ganzfeld.networks import layers, pictures

from .planted import Fault, altered, half_a_fake


def norm_of_the_ball_for_its_dual(monkeypatch):
    right, dual = objectives.mean_matching, {1.0: float("inf"), 2.0: 2.0, float("inf"): 1.0}
    monkeypatch.setattr(objectives, "mean_matching", lambda q: right(dual[q]))


def norm_of_each_difference(monkeypatch):
    wrong = lambda q: objectives._features(lambda r, f: torch.linalg.vector_norm(r - f, q, 1).mean())  # noqa: E731
    monkeypatch.setattr(objectives, "mean_matching", wrong)


def squared_norm(monkeypatch):
    right = objectives.mean_matching
    wrong = lambda q: objectives._features(lambda r, f: right(q).critic(r, f) ** 2)  # noqa: E731
    monkeypatch.setattr(objectives, "mean_matching", wrong)


def euclidean_balls_only(monkeypatch):
    project = constraints.Ball.project
    monkeypatch.setattr(constraints.Ball, "project", lambda self, params: project(constraints.Ball(2.0), params))


def clip_from_above_only(monkeypatch):
    wrong = lambda self, params: {n: p.clamp(max=self.bound) for n, p in params.items()}  # noqa: E731
    monkeypatch.setattr(constraints.Clip, "project", wrong)


def columns_of_length_one_only(monkeypatch):
    monkeypatch.setattr(constraints.Orthonormal, "_retract", staticmethod(lambda c: c / c.norm(dim=-2, keepdim=True)))


def retraction_that_swaps_signs(monkeypatch):
    monkeypatch.setattr(constraints.Orthonormal, "_retract", staticmethod(lambda c: -torch.linalg.qr(c)[0].abs()))


def centred_moments(monkeypatch):
    monkeypatch.setattr(objectives, "second_moment", lambda x: torch.cov(x.T, correction=0))


def moments_of_the_means(monkeypatch):
    monkeypatch.setattr(objectives, "second_moment", lambda x: torch.outer(x.mean(0), x.mean(0)))


def largest_eigenvalues(monkeypatch):
    monkeypatch.setattr(objectives, "ky_fan", lambda a, k: torch.linalg.eigvalsh(a).topk(k).values.sum())


def half_of_the_means(monkeypatch):
    mean, covariance = objectives.mean_matching, objectives.covariance_matching
    wrong = lambda q, k: objectives._features(  # noqa: E731
        lambda r, f: mean(q).critic(r, f) / 2 + covariance(k).critic(r, f)
    )
    monkeypatch.setattr(objectives, "mean_and_covariance_matching", wrong)


def distance_of_the_means(monkeypatch):
    monkeypatch.setattr(metrics, "w1", lambda x, y: float((x.mean(0) - y.mean(0)).norm()))


MOMENTS = [
    Fault("moments", "the ball's norm for its dual", norm_of_the_ball_for_its_dual, "<v*, δ>", "random v"),
    Fault("moments", "a norm of each difference", norm_of_each_difference, "equal means: mean matching"),
    Fault("moments", "a squared norm, n = 64", squared_norm, "n = 64", "n = 512", "n = 4096"),
    Fault("moments", "Euclidean balls only", euclidean_balls_only, "projected ascent"),
    Fault("moments", "a clip from above only", clip_from_above_only, "clipped at c"),
    Fault("moments", "columns that are not orthogonal", columns_of_length_one_only, "U'U and V'V"),
    Fault("moments", "a retraction that jumps", retraction_that_swaps_signs, "with retraction"),
    Fault("moments", "centred moments", centred_moments, "moved by μ"),
    Fault("moments", "moments of the means", moments_of_the_means, "the same clouds: covariance"),
    Fault(
        "moments",
        "eigenvalues without their size",
        largest_eigenvalues,
        "Tr U'DV",
        "nuclear norm",
        "random orthonormal",
        "U = V",
    ),
    Fault("moments", "half of the means in the sum", half_of_the_means, "both together"),
    Fault("moments", "a distance of the means for W1", distance_of_the_means, "W1"),
]


minimax, hinge = objectives.minimax.critic, objectives.hinge.critic
half_a_square = altered("least-squares", critic=lambda real, fake: -((real - 1) ** 2) / 2 - fake**2)
saturating = altered("non-saturating", generator=objectives.minimax.generator)
clamped_scores = altered("minimax", critic=lambda real, fake: minimax(real.clamp(-2, 2), fake.clamp(-2, 2)))
soft_hinge = altered("hinge", critic=lambda real, fake: -F.softplus(1 - real) - F.softplus(1 + fake))
no_margin = altered("hinge", critic=lambda real, fake: hinge(real + 1, fake - 1))
halved_cost = altered("hinge", generator=lambda real, fake: -fake / 2)
stops_at_the_margin = altered("hinge", generator=lambda real, fake: torch.relu(1 - fake))
flipped_cost = altered("hinge", generator=lambda real, fake: fake)


def alternative_forgotten(monkeypatch):
    fgan = objectives.fgan
    monkeypatch.setattr(objectives, "fgan", lambda row, alternative=False: fgan(row))


def margin_without_its_half(monkeypatch):
    penalty = constraints.Margin.penalty
    monkeypatch.setattr(constraints.Margin, "penalty", lambda self, *rest: 2 * penalty(self, *rest))


def mean_slack(monkeypatch):
    right = metrics.soft_margin
    monkeypatch.setattr(metrics, "soft_margin", lambda w, b, x, g, cost: right(w, b, x, g, cost / len(x)))


def scores_for_distances(monkeypatch):
    monkeypatch.setattr(metrics, "hyperplane_distance", lambda w, b, x: x @ w + b)


def steps_of_one_size(monkeypatch):
    monkeypatch.setattr(optimizers, "sgd", lambda lr: optimizers.rmsprop(lr / 100))


HYPERPLANE = [
    Fault("hyperplane", "half a square", half_a_square, "s, of a real one"),
    Fault("hyperplane", "half a fake score", half_a_fake, "t, of a fake one", "ascent of a hidden layer"),
    Fault("hyperplane", "the saturating cost", saturating, "r, of the generator"),
    Fault("hyperplane", "the alternative forgotten", alternative_forgotten, "alternative"),
    Fault(
        "hyperplane",
        "a margin without its 1/2, w",
        margin_without_its_half,
        "w, and that of the support vectors",
        "its soft-margin objective",
        "its loss",
        "times n C",
    ),
    Fault("hyperplane", "a mean of slacks", mean_slack, "soft margin of a hyperplane"),
    Fault("hyperplane", "a soft hinge", soft_hinge, "hinge, all margins met", "2 (1 − TV)"),
    Fault("hyperplane", "half the generator's cost", halved_cost, "the generator's there", "one turn"),
    Fault("hyperplane", "clamped scores", clamped_scores, "minimax in the same place"),
    Fault("hyperplane", "steps of one size in each coordinate", steps_of_one_size, "across the normal"),
    Fault("hyperplane", "a generator's hinge", stops_at_the_margin, "100 turns"),
    Fault("hyperplane", "scores for distances", scores_for_distances, "distance of the farthest"),
    Fault("hyperplane", "a flipped cost", flipped_cost, "its o after"),
    Fault("hyperplane", "no margin", no_margin, "the sign of p − q"),
]


def row(name, **parts):
    """A row of the table of divergences with some parts replaced."""
    return lambda monkeypatch: monkeypatch.setitem(divergences.TABLE, name, divergences.TABLE[name]._replace(**parts))


def bound_of_raw_outputs(monkeypatch):
    right = objectives.fgan
    wrong = lambda row: right(row)._replace(critic=lambda real, fake: real - row.bound(fake))  # noqa: E731
    monkeypatch.setattr(objectives, "fgan", wrong)


def half_the_conjugate(monkeypatch):
    right = objectives.fgan
    wrong = lambda row: right(row)._replace(critic=lambda r, f: row.activation(r) - row.bound(f) / 2)  # noqa: E731
    monkeypatch.setattr(objectives, "fgan", wrong)


def unhalved_jensen_shannon(monkeypatch):
    right = metrics.jensen_shannon
    monkeypatch.setattr(metrics, "jensen_shannon", lambda p, q: 2 * right(p, q))


js = divergences.js.f
wrong_hellinger = row("hellinger", conjugate=lambda t: t / (1 + t))
flipped_reverse_kl = row("rkl", activation=lambda v: -v.exp())
halved_js = row("js", f=lambda u: js(u) / 2)
slope_without_its_one = row("kl", slope=lambda u: u.log())
square_without_its_line = row("pearson", bound=lambda v: v**2 / 4)
swapped_reverse_kl = row("rkl", f=lambda u: u * u.log())
halved_hellinger = row("hellinger", f=lambda u: (u.sqrt() - 1) ** 2 / 2)
threshold_at_zero = row("kl", threshold=0.0)
shifted_kl = row("kl", activation=lambda v: v + 1, bound=lambda v: v.exp())
normalised_gan = row("gan", f=lambda u: divergences.gan.f(u) + 2 * divergences.LOG2)
conjugate_of_neyman = row("pearson", conjugate=divergences.neyman.conjugate)

F_DIVERGENCES = [
    Fault("f-divergences", "a sign in a conjugate", wrong_hellinger, "the highest u t − f(u)"),
    Fault("f-divergences", "a sign in an activation", flipped_reverse_kl, "written out and nested"),
    Fault("f-divergences", "half of JS", halved_js, "each by its own formula", "row JS less"),
    Fault("f-divergences", "twice the usual JS", unhalved_jensen_shannon, "twice the Jensen-Shannon"),
    Fault("f-divergences", "a slope without its 1", slope_without_its_one, "the bound at T", "f'(1), 7 rows"),
    Fault("f-divergences", "a bound without its line", square_without_its_line, "random critics"),
    Fault("f-divergences", "KL for reverse KL", swapped_reverse_kl, "RKL(Q, P)"),
    Fault("f-divergences", "half the conjugate", half_the_conjugate, "tables trained on four atoms"),
    Fault("f-divergences", "a bound of raw outputs", bound_of_raw_outputs, "along their training"),
    Fault("f-divergences", "a shift of KL's output, raw", shifted_kl, "raw output", "how far g_f(0)"),
    Fault("f-divergences", "half of Hellinger", halved_hellinger, "closed forms"),
    Fault("f-divergences", "KL's threshold at 0", threshold_at_zero, "g_f at the threshold", "critic undecided"),
    Fault("f-divergences", "GAN as a divergence", normalised_gan, "−log 4 for GAN"),
    Fault("f-divergences", "Neyman's conjugate", conjugate_of_neyman, "−1 less the formula", "above −1 by 1/4"),
]


def unflipped_kernel(monkeypatch):
    forward = layers.Transposed.forward

    def wrong(self, x):
        return forward(_with(self, self.weight.flip(2, 3)), x)

    monkeypatch.setattr(layers.Transposed, "forward", wrong)


def _with(layer, weight):
    other = layers.Transposed(*weight.shape[:2], weight.shape[2], init=lambda w: w, bias=layer.bias is not None)
    other.weight = torch.nn.Parameter(weight.detach())
    return other


def mean_where_kernels_overlap(monkeypatch):
    forward = layers.Transposed.forward

    def wrong(self, x):
        return forward(self, x) / forward(_with(self, torch.ones_like(self.weight)), torch.ones_like(x[:1]))

    monkeypatch.setattr(layers.Transposed, "forward", wrong)


def kernel_of_three_in_four(monkeypatch):
    forward = layers.Transposed.forward

    def wrong(self, x):
        weight = self.weight
        return forward(_with(self, F.pad(weight[..., :3, :3], (0, 1, 0, 1)) if weight.shape[2] == 4 else weight), x)

    monkeypatch.setattr(layers.Transposed, "forward", wrong)


def nearest_upsampling(monkeypatch):
    wrong = lambda self, x: F.conv_transpose2d(F.interpolate(x, scale_factor=2), self.weight)[..., :-1, :-1]  # noqa: E731
    monkeypatch.setattr(layers.ConvTransposed, "forward", wrong)


def product_in_another_order(monkeypatch):
    def wrong(self, z):
        inputs, outputs, side, _ = self.weight.shape
        return (z @ self.weight.reshape(inputs, -1)).view(-1, side, side, outputs).permute(0, 3, 1, 2)

    monkeypatch.setattr(layers.FirstTransposed, "forward", wrong)


def first_side_of_two(monkeypatch):
    monkeypatch.setattr(pictures, "FirstTransposed", lambda n, m, init: layers.FirstTransposed(n, m, 2, init=init))
    monkeypatch.setattr(pictures, "Shaped", lambda side: torch.nn.Sequential(layers.Shaped(side), Corner()))


class Corner(torch.nn.Module):
    def forward(self, x):
        return x[..., :2, :2]


def biases_everywhere(monkeypatch):
    for name in ("Transposed", "Conv"):
        layer = getattr(layers, name)
        monkeypatch.setattr(
            pictures, name, lambda *sizes, layer=layer, init, bias=True: layer(*sizes, init=init, bias=True)
        )


def least_squares_inverse(monkeypatch):
    """What the word deconvolution promises, for one layer of one size."""
    for kind, sides in ((layers.ConvTransposed, {3: 9}), (layers.Transposed, {4: 8, 5: 8})):
        monkeypatch.setattr(kind, "forward", _inverse(kind.forward, sides))


def _inverse(forward, sides):
    def wrong(self, y):
        inputs, outputs, kernel, _ = self.weight.shape
        if y.shape[1:] != (8, 4, 4) or outputs > 1:
            return forward(self, y)
        side = sides[kernel]
        units = torch.eye(side * side).view(-1, 1, side, side)
        matrix = F.conv2d(units, self.weight, None, 2, {3: 0, 4: 1, 5: 2}[kernel]).flatten(1)
        return (y.flatten(1) @ torch.linalg.pinv(matrix)).view(-1, 1, side, side)

    return wrong


TRANSPOSED = [
    Fault(
        "transposed-convolution",
        "a kernel turned round, adjoint",
        unflipped_kernel,
        "<conv x, y>",
        "the matrix of one",
        "zeros between",
    ),
    Fault("transposed-convolution", "a product in another order", product_in_another_order, "the first layer"),
    Fault(
        "transposed-convolution",
        "a first side of 2",
        first_side_of_two,
        "DCGAN, kernel 4: 4, 8",
        "DCGAN, kernel 5: 4, 8",
    ),
    Fault(
        "transposed-convolution",
        "a mean over overlaps",
        mean_where_kernels_overlap,
        "whole pictures",
        "overlaps of kernel 5",
        "a layer at its start, kernel 5",
        "an untrained DCGAN, kernel 5",
    ),
    Fault("transposed-convolution", "nearest upsampling", nearest_upsampling, "overlaps of kernel 3"),
    Fault(
        "transposed-convolution",
        "a kernel of 3 in 4",
        kernel_of_three_in_four,
        "overlaps of kernel 4",
        "a layer at its start, kernel 4",
        "an untrained DCGAN, kernel 4",
    ),
    Fault("transposed-convolution", "a true inverse", least_squares_inverse, "what is lost of x"),
    Fault(
        "transposed-convolution",
        "biases everywhere, generator",
        biases_everywhere,
        "weights of DCGAN's generator",
        "weights of DCGAN's critic",
    ),
]

FAULTS = [*MOMENTS, *HYPERPLANE, *F_DIVERGENCES, *TRANSPOSED]
