r"""Constraints: what binds the critic, at one of three places.

* ``dress`` the weights by construction, before they are used: `Spectral`;
* a ``penalty`` in the loss the critic descends: `GradientPenalty`, `Dragan`, `R1`, `R2`, `Margin`;
* ``project`` the weights after the optimiser's step: `Clip`, `Ball`, `Orthonormal`.

A constraint is a frozen record of numbers; what it must remember (power-iteration vectors) is state in the game's
tree, and the chance it needs is declared and dealt in. Penalties act on the *dressed* critic, so spectral norm and a
gradient penalty compose. A penalty is returned per sample, or as [] where it reads weights or means alone (of a batch
that is dealt to ranks, `CriticTurn.mean` takes the mean of the whole).

A penalty sees the whole turn of the critic (`CriticTurn`), and may learn from it: one that does writes `penalise`, and
finds in the next turn, or after a resume, what it remembered. One that ``acts`` every k-th turn is left out of the
others' graph and cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .core.autodiff import inside_transform
from .core.randomness import Need, Noise
from .core.values import NotNegative, Positive, Steps, Turns, check_fields

Params = dict[str, Tensor]
State = Mapping[str, Tensor]
Critic = Callable[..., Tensor]  # (*samples) -> scores [B]
Samples = tuple[Tensor, ...]
NOTHING: State = MappingProxyType({})


class CriticTurn(NamedTuple):
    """What a penalty sees of a turn of the critic.

    f: the critic as it plays, dressed, in full precision, of samples; params: its weights, undressed. real, fake: the
    parts of both sides, constants to the critic. noise: what the constraint asked for. real_scores, fake_scores: [B] or
    [B, m], differentiable. labels: what the critic is told beside either side, (y,) or (). number: of the critic's
    turn, 1, 2, ...; a tensor [] inside a graph. state: what the constraint remembers. mean: over the samples [B, ...]
    of the whole batch, also where it is dealt to ranks.
    """

    f: Critic
    params: Params
    real: Samples = ()
    fake: Samples = ()
    noise: Noise = MappingProxyType({})
    real_scores: Tensor = torch.empty(0)
    fake_scores: Tensor = torch.empty(0)
    labels: Samples = ()
    number: int | Tensor = 1
    state: State = NOTHING
    mean: Callable[[Tensor], Tensor] = lambda terms: terms.mean(0)


class Constraint:
    """Every verb defaults to doing nothing. ``project`` and ``dress`` see one critic or, for ``project``, a stack of
    them along a leading dimension."""

    per_sample: ClassVar[bool] = False  # reads the gradient at each sample: no layer may mix samples
    scalar: ClassVar[bool] = False  # needs a critic that returns one score per sample
    binds: ClassVar[bool] = True  # keeps an unbounded objective from running away

    def needs(self, shapes: tuple[tuple[int, ...], ...]) -> dict[str, Need]:
        """Noise of one critic turn; shapes: of the samples the critic compares, without the batch."""
        return {}

    def init(self, params: Params) -> State:
        """What the constraint remembers between turns."""
        return {}

    def check(self, params: Params) -> None:
        """Raises ValueError for a critic with weights that cannot be bound."""

    def dress(self, params: Params, state: State, advance: bool) -> tuple[Params, State]:
        """The weights the critic plays with, and what is remembered; ``advance`` only in the critic's turn."""
        return params, state

    def acts(self, number: int) -> bool:
        """Whether the penalty is there in the critic's turn 1, 2, ..."""
        return True

    def penalty(self, turn: CriticTurn) -> Tensor | None:
        """Added to the critic's loss: [B], or [] for weights alone."""
        return None

    def penalise(self, turn: CriticTurn) -> tuple[Tensor | None, State]:
        """The penalty, and what is remembered for the next: for a constraint that learns from the turn."""
        return self.penalty(turn), turn.state

    def project(self, params: Params) -> Params:
        """The nearest weights that satisfy the constraint."""
        return params


def dress(
    constraints: Sequence[Constraint], params: Params, states: Mapping[str, State], advance: bool
) -> tuple[Params, dict[str, State]]:
    """The critic's weights as it plays with them under all constraints, and what these remember."""
    memory = {}
    for i, constraint in enumerate(constraints):
        params, memory[str(i)] = constraint.dress(params, states[str(i)], advance)
    return params, memory


def penalise(
    constraints: Mapping[int, Constraint], turn: CriticTurn, states: Mapping[str, State], gather: Callable
) -> tuple[Tensor, dict[str, State]]:
    """The sum [] of the penalties of constraints by their number, and what is remembered then. turn: with the noise of
    all. gather: joins the terms of all ranks, and the gradient flows through one's own."""
    total, memory = turn.fake_scores.new_zeros(()), dict(states)
    for i, constraint in constraints.items():
        noise = {name.removeprefix(f"{i}."): u for name, u in turn.noise.items() if name.startswith(f"{i}.")}
        seen = turn._replace(noise=noise, state=memory[str(i)], mean=partial(_mean, gather))
        term, memory[str(i)] = constraint.penalise(seen)
        if term is not None:  # one term per sample, so that ranks can be gathered before the mean
            total = total + gather(term.expand(len(turn.fake[0]))).mean()
    return total, memory


def _mean(gather: Callable, own: Tensor) -> Tensor:
    """The mean of all ranks' terms. A penalty that reads it is averaged over ranks itself: for their gradients to sum
    to that of the whole, the part through one's own terms counts as often as there are ranks."""
    every = gather(own)
    mean, ranks = every.mean(0), len(every) // len(own)
    return mean if ranks == 1 else mean + (ranks - 1) * (mean - mean.detach())


def parts_of_layer(layer: str, names: Iterable[str]) -> tuple[str, ...]:
    """The parameters, of those named, that a linear layer's weights are: its own; or, where the critic is told labels,
    w and E of its projection, which is one linear layer of the joint features (phi, phi at the label's place). ()
    where there is none."""
    stem, _, leaf = layer.rpartition(".")
    known = set(names)
    for parts in ((layer,), (f"{stem}.score.{leaf}", f"{stem}.classes.{leaf}")):
        if known.issuperset(parts):
            return parts
    return ()


def slopes(f: Critic, samples: Samples) -> Tensor:
    r"""Norm [B] of each score's gradient over *all* dimensions of its own sample, the parts of a joint together.

    Valid where the critic treats samples separately: then the gradient of the sum is the gradients side by side.
    A norm over one axis only is a known error (its minimiser has norm sqrt(H W)).
    """
    gradients = _gradients(f, samples)
    # squares are summed before one root; vector_norm has a zero subgradient at 0 where sqrt gives nan
    return torch.linalg.vector_norm(torch.cat([g.flatten(1) for g in gradients], 1), dim=1)


def square_slopes(f: Critic, samples: Samples) -> Tensor:
    """Squared gradient norm [B]: differentiable at 0 without a root."""
    gradients = _gradients(f, samples)
    return sum(g.flatten(1).square().sum(1) for g in gradients)  # type: ignore[return-value]


def _gradients(f: Critic, samples: Samples) -> Samples:
    """The gradient of the sum of scores by the samples, to be differentiated again: by autograd where nothing maps or
    differentiates from the outside, which is cheaper in time and memory, else by ``torch.func``."""
    if inside_transform():
        return torch.func.grad(lambda x: f(*x).sum())(samples)
    samples = tuple(x if x.requires_grad else x.detach().requires_grad_() for x in samples)
    with torch.enable_grad():
        return torch.autograd.grad(f(*samples).sum(), samples, create_graph=True, materialize_grads=True)


def _mix(weight: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    return torch.lerp(fake, real, weight.view(-1, *[1] * (real.dim() - 1)))


@dataclass(frozen=True)
class GradientPenalty(Constraint):
    r"""The critic's slope is pulled to 1 between real and fake samples.

    :math:`\lambda\,E(\|\nabla f(\hat x)\| - 1)^2` at :math:`\hat x = \epsilon x + (1 - \epsilon) G(z)`.

    One epsilon per sample, the same for every part of a joint. one_sided penalises slopes above 1 only.
    Source: Gulrajani et al. 2017, Algorithm 1 (lambda 10). For a linear critic the optimum overshoots: slope
    :math:`1 + \|\Delta\|/(2\lambda)`, so the printed value exceeds W1.
    """

    weight: NotNegative = 10.0
    one_sided: bool = False
    per_sample: ClassVar[bool] = True
    scalar: ClassVar[bool] = True

    def __post_init__(self):
        check_fields(self)

    def needs(self, shapes):
        return {"mix": Need("uniform", ())}

    def penalty(self, turn):
        between = tuple(_mix(turn.noise["mix"], x, g) for x, g in zip(turn.real, turn.fake, strict=True))
        excess = slopes(turn.f, between) - 1
        return self.weight * (excess.relu() if self.one_sided else excess).square()


@dataclass(frozen=True)
class Dragan(Constraint):
    r"""The critic's slope is pulled to 1 around the real samples.

    The same penalty around the data: :math:`\hat x = x + \alpha\,\delta`, :math:`\delta = c\,\mathrm{std}(x)\,u`,
    u uniform on [0, 1] per entry, alpha uniform per sample.

    The spread is that of the real batch over all its entries. Source: Kodali et al. 2017 (DRAGAN), Algorithm 1 and
    the authors' code (lambda 10, c = 0.5).
    """

    weight: NotNegative = 10.0
    spread: NotNegative = 0.5
    per_sample: ClassVar[bool] = True
    scalar: ClassVar[bool] = True

    def __post_init__(self):
        check_fields(self)

    def needs(self, shapes):
        return {"mix": Need("uniform", ()), **{f"shift{i}": Need("uniform", s) for i, s in enumerate(shapes)}}

    def penalty(self, turn):
        mix, shifts = turn.noise["mix"], (turn.noise[f"shift{i}"] for i in range(len(turn.real)))
        near = tuple(_mix(mix, x + self.spread * x.std() * u, x) for x, u in zip(turn.real, shifts, strict=True))
        return self.weight * (slopes(turn.f, near) - 1).square()


@dataclass(frozen=True)
class R1(Constraint):
    r"""The critic's squared slope at real samples is kept small.

    :math:`\frac{\gamma}{2} E_{p} \|\nabla f(x)\|^2` at real samples: zero-centred, locally convergent.

    Under an augmentation (`augment`) x is the augmented sample, as the critic meets it, and the slope is by that.
    Source: Mescheder, Geiger, Nowozin 2018, eq. 9. Their code multiplies without the 1/2.
    """

    gamma: NotNegative = 1.0
    per_sample: ClassVar[bool] = True
    scalar: ClassVar[bool] = True

    def __post_init__(self):
        check_fields(self)

    def penalty(self, turn):
        return self.gamma / 2 * square_slopes(turn.f, turn.real)


@dataclass(frozen=True)
class R2(Constraint):
    r"""The critic's squared slope at fake samples is kept small.

    :math:`\frac{\gamma}{2} E_{q} \|\nabla f(G(z))\|^2` at fake samples. Source: Mescheder et al. 2018, eq. 10."""

    gamma: NotNegative = 1.0
    per_sample: ClassVar[bool] = True
    scalar: ClassVar[bool] = True

    def __post_init__(self):
        check_fields(self)

    def penalty(self, turn):
        return self.gamma / 2 * square_slopes(turn.f, turn.fake)


@dataclass(frozen=True)
class Margin(Constraint):
    r"""The weight decay of a soft-margin SVM on the critic's last layer.

    The soft-margin SVM's :math:`\|w\|^2 / (2 n C)` on the last layer, the hyperplane (not its bias).

    With the mean hinge losses it is the SVM's objective divided by n C. points: n, the batch size. With labels the
    hyperplane is one of the joint features, and the decay :math:`(\|w\|^2 + \|E\|_F^2) / (2 n C)`.
    Source: Lim and Ye 2017 (geometric GAN); scaling as in the authors' code; Crammer and Singer 2001, section 3 (joint
    features of a sample and its class).
    """

    cost: Positive = 1.0
    points: Steps = 256
    layer: str = "head.weight"
    scalar: ClassVar[bool] = True

    def __post_init__(self):
        check_fields(self)

    def penalty(self, turn):
        squares = sum(turn.params[part].square().sum() for part in parts_of_layer(self.layer, turn.params))
        return squares / (2 * self.points * self.cost)


@dataclass(frozen=True)
class Spectral(Constraint):
    r"""Every weight of the critic is divided by its largest singular value.

    :math:`\bar W = c\,W / \sigma(W)`.

    Kernels are flattened to [out, rest]. sigma is estimated by power iteration with persistent vectors, one step a
    critic turn, none in the generator's, and approaches from below: norms sit slightly *above* 1. Small weights are
    scaled up, too; one that starts at 0 is refused. The vectors start at the exact ones. u and v are constants of the
    backward pass.
    norm: c, 1 in the paper; L layers of norm c bound the slope by c^L.
    Source: Miyato et al. 2018, eq. 8 and Algorithm 1.
    """

    norm: Positive = 1.0
    iterations: Turns = 1

    def __post_init__(self):
        check_fields(self)

    @staticmethod
    def _weights(params: Params) -> dict[str, Tensor]:
        return {name: w.flatten(1) for name, w in params.items() if w.dim() > 1}

    def check(self, params: Params) -> None:
        for name, weight in self._weights(params).items():
            if not bool(weight.any()):
                raise ValueError(
                    f"Spectral divides by the norm of {name!r}, which starts at 0 in these networks: use R1"
                )

    def init(self, params):
        self.check(params)
        state = {}
        for name, weight in self._weights(params).items():
            u, _, vt = torch.linalg.svd(weight, full_matrices=False)
            state[f"{name}.u"], state[f"{name}.v"] = u[:, 0].contiguous(), vt[0].contiguous()
        return state

    def dress(self, params, state, advance):
        dressed, state = dict(params), dict(state)
        for name, weight in self._weights(params).items():
            u, v = state[f"{name}.u"], state[f"{name}.v"]
            if advance:
                fixed = weight.detach()
                for _ in range(self.iterations):
                    u = normalize(fixed @ v, dim=0)
                    v = normalize(fixed.T @ u, dim=0)
                state[f"{name}.u"], state[f"{name}.v"] = u, v
            dressed[name] = params[name] * (self.norm / torch.dot(u, weight @ v))
        return dressed, state


@dataclass(frozen=True)
class Clip(Constraint):
    r"""Every weight of the critic is clipped to a box after each step.

    The box is :math:`[-c, c]`. Source: Arjovsky et al. 2017, Algorithm 1, line 7.

    The clipped critics are K-Lipschitz for some K only, so the value estimates at most K W1 over a restricted class.
    spare: parameters whose names begin so are left alone.
    """

    bound: Positive = 0.01
    spare: tuple[str, ...] = ()

    def __post_init__(self):
        check_fields(self)

    def project(self, params):
        # after the step, not before it: the generator must meet a clipped critic
        return {n: p if n.startswith(self.spare) else p.clamp(-self.bound, self.bound) for n, p in params.items()}


@dataclass(frozen=True)
class Ball(Constraint):
    r"""A linear head kept in the unit ball of the norm dual to q: the primal form of mean matching.

    q = 1 clips to the box :math:`\|v\|_\infty \le 1`; q = 2 projects on the Euclidean ball; q = inf on the simplex-like
    ball :math:`\|v\|_1 \le 1`. With labels v is (w, E), and means of joint features are matched.
    Source: Mroueh, Sercu, Goel 2017 (McGAN), primal P_mu.
    """

    q: float = 2.0
    layer: str = "head.weight"

    def project(self, params):
        parts = parts_of_layer(self.layer, params)
        rows = torch.cat([params[part] for part in parts], -2)  # [1, m], or with labels [1 + K, m], of one or a stack
        v = rows.flatten(-2)
        if self.q == 1:
            near = v.clamp(-1, 1)
        elif self.q == 2:
            near = v / torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp(min=1)
        else:
            near = _l1_ball(v)
        kept = near.view_as(rows).split([params[part].shape[-2] for part in parts], -2)
        return {**params, **dict(zip(parts, kept, strict=True))}

    def __post_init__(self):
        if self.q not in (1, 2, float("inf")):
            raise ValueError(f"the primal ball is known for q = 1, 2 and inf, not {self.q}")


def _l1_ball(v: Tensor) -> Tensor:
    """Euclidean projection on the unit l1 ball along the last dimension. Duchi et al. 2008, figure 1."""
    size = v.abs()
    ranked = size.sort(-1, descending=True).values
    count = torch.arange(1, v.shape[-1] + 1, dtype=v.dtype, device=v.device)
    excess = (ranked.cumsum(-1) - 1) / count
    last = (ranked > excess).sum(-1, keepdim=True).clamp(min=1) - 1
    shrunk = v.sign() * (size - excess.gather(-1, last)).relu()
    return torch.where(size.sum(-1, keepdim=True) > 1, shrunk, v)


@dataclass(frozen=True)
class Orthonormal(Constraint):
    r"""The columns of U and V of a bilinear head kept orthonormal by a QR retraction after the step.

    The factor's sign is fixed by a positive diagonal of R, so that the retraction is continuous.
    Source: Mroueh, Sercu, Goel 2017 (McGAN), primal P_Sigma.
    """

    layers: tuple[str, ...] = ("head.u", "head.v")

    def project(self, params):
        return {**params, **{name: self._retract(params[name]) for name in self.layers}}

    @staticmethod
    def _retract(columns: Tensor) -> Tensor:
        q, r = torch.linalg.qr(columns)
        return q * torch.diagonal(r, dim1=-2, dim2=-1).sign().unsqueeze(-2)


@dataclass(frozen=True)
class Decay(Constraint):
    r"""Weight decay of rankers, of the rows that a turn pulls.

    :math:`\frac\lambda2 (\|u_q\|^2 + \|v_d\|^2 + b_d^2)` of every pair that is scored, known and picked: a row is
    held back as often as it is pulled. Of rankers of other weights, and with ``even``, half the squares of all of them.

    Source: Wang et al. 2017 (IRGAN), their code; Salakhutdinov and Mnih 2008 (weights as often as they are seen).
    """

    weight: NotNegative = 0.1
    even: bool = False

    def __post_init__(self):
        check_fields(self)

    def penalty(self, turn):
        params = turn.params
        if self.even or "item" not in params:
            return self.weight / 2 * sum(p.square().sum() for p in params.values())
        squares = params["user"].square().sum(1), params["item"].square().sum(1) + params["bias"] ** 2
        total = 0.0
        for side in (turn.real, turn.fake):
            for rows, part in zip(squares, side, strict=True):
                times = torch.bincount(part.expand(side[1].shape).flatten(), minlength=len(rows))
                total = total + (times * rows).sum() / side[1].numel()
        return self.weight / 2 * total


TABLE: dict[str, type[Constraint]] = {
    "clip": Clip,
    "gradient-penalty": GradientPenalty,
    "dragan": Dragan,
    "r1": R1,
    "r2": R2,
    "margin": Margin,
    "decay": Decay,
    "spectral": Spectral,
    "ball": Ball,
    "orthonormal": Orthonormal,
}
