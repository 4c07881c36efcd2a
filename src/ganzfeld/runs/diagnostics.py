"""What a run says about itself while it trains, and the warnings it draws from it.

At a logged step every member is looked at with held-out rows and fixed latents: what the critic thinks, how steep it
is, how much gradient reaches the generator under the minimax and under the non-saturating payoff, how much of a
clipped critic lies at its bound. Each warning names a cause and a change to try.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from .. import metrics
from ..constraints import Clip
from ..core import tree
from ..core.randomness import latents
from ..core.tree import Tree
from ..draws import Batch
from ..game import Game

EARLIEST_WARNING = 200  # steps; the games of the README have found their modes by then


def observe(game: Game, state: Tree, batch: Batch) -> dict[str, float]:
    """The facts of one member, from held-out rows (and their labels) and as many fixed latents; nan where a number is
    not defined (a critic of features has no score)."""
    n = len(batch[0])
    critic, _ = game.dress(state["params"]["critic"], state["constraints"], advance=False)
    noise = {name: latents(need, i, n) for i, (name, need) in enumerate(game.draw.needs("generator").items())}
    with torch.no_grad():
        scene = game.scene(state["params"], "generator", batch, noise)
    real, fake = batch[0], scene.fake[0]

    def f(flat: Tensor) -> Tensor:
        """Scores of samples whose parts lie side by side."""
        parts = flat.split([part[0].numel() for part in scene.fake], 1)
        shaped = (part.view_as(like) for part, like in zip(parts, scene.fake, strict=True))
        return functional_call(game.critic, critic, (*shaped, *scene.given))

    norms = metrics.spectral_norms(critic)
    facts = {
        "spectral_product": math.prod(norms.values()),
        **{f"spectral_norm.{name}": norm for name, norm in norms.items()},
        "spread": float(fake.std(0).norm() / real.std(0).norm()) if n > 1 else math.nan,
    }
    for constraint in game.constraints:
        if isinstance(constraint, Clip):
            inside = {k: v for k, v in state["params"]["critic"].items() if not k.startswith(constraint.spare or "\0")}
            facts["share_at_bound"] = metrics.share_at_bound(inside, constraint.bound)
    return facts | (_scores(f, _flatten(scene.real), _flatten(scene.fake)) if not game.objective.features else {})


def _flatten(parts: tuple[Tensor, ...]) -> Tensor:
    """The parts of a sample side by side [n, d]."""
    return torch.cat([part.flatten(1) for part in parts], 1)


def _scores(f, real: Tensor, fake: Tensor) -> dict[str, float]:
    with torch.no_grad():
        o_real, o_fake = f(real), f(fake)
    between = (real + fake) / 2
    slopes = metrics.gradient_quantiles(f, between, q=(0.05, 0.5, 0.95, 1.0))
    payoff = metrics.saturation(f, fake)
    return {
        "score_real": float(o_real.mean()),
        "score_fake": float(o_fake.mean()),
        "score_spread": float(torch.cat([o_real, o_fake]).std()),
        "d_real": float(o_real.sigmoid().mean()),
        "d_fake": float(o_fake.sigmoid().mean()),
        "saturation_minimax": payoff.minimax,
        "saturation_non_saturating": payoff.non_saturating,
        **{f"slope_{name}": float(q) for name, q in zip(("q05", "median", "q95"), slopes, strict=False)},
        "lipschitz": float(slopes[-1]),
    }


def too_early(step: int, steps: int) -> bool:
    """Whether what looks wrong at a step of a run may be how games begin: with one blob and an idle critic."""
    return step < max(EARLIEST_WARNING, steps / 10)


def warnings(game: Game, facts: Mapping[str, float], record: Mapping[str, float]) -> dict[str, str]:
    """Cause -> what was seen and what to try, for one member."""
    out = {}
    get = lambda name: facts.get(name, math.nan)  # noqa: E731
    if get("spread") < 0.05:
        out["collapse"] = (
            f"samples spread over {get('spread'):.1%} of the data's width; try a gradient penalty (r1gan, r3gan) "
            "or a lower rate"
        )
    if get("score_spread") < 1e-6 and record.get("critic_gradient", 1.0) < 1e-6:
        out["dead critic"] = (
            "the critic gives every sample the same score and its gradient is gone; "
            "try a lower rate or another initial seed"
        )
    if get("d_fake") < 1e-3 and _saturates(game):
        out["saturation"] = (
            f"D(fake) is {get('d_fake'):.1e}, and that factor is what is left of the minimax gradient; "
            "try the non-saturating payoff (ns-gan)"
        )
    if get("share_at_bound") > 0.9:
        out["clipped-out critic"] = (
            f"{get('share_at_bound'):.0%} of the critic's weights lie at the clipping bound; try a larger bound, or "
            "wgan-gp"
        )
    return out


def metric_warnings(per_member: Mapping[str, list[float]], total: int | None) -> dict[str, str]:
    """Cause -> text, from the metrics of a judged step."""
    out = {}
    modes, quality = per_member.get("modes", []), per_member.get("high_quality", [])
    if total and modes and min(modes) <= total / 2:
        out["collapse"] = f"{min(modes):g} of {total} modes covered; try r3gan, wgan-gp, or more steps"
    if quality and max(quality) > metrics.OVER_CONCENTRATED:
        out["over-concentration"] = (
            f"high-quality share {max(quality):.2%} is above what perfect samples reach "
            f"({metrics.HIGH_QUALITY_CEILING:.2%}): the modes are narrower than the data's"
        )
    return out


def _saturates(game: Game) -> bool:
    """Whether a fake the critic is sure about sends (nearly) no gradient to the generator."""
    if game.objective.relative or game.objective.features:
        return False
    sure = torch.full((1,), -20.0, requires_grad=True)
    (slope,) = torch.autograd.grad(game.objective.generator(None, sure).sum(), sure)
    return float(slope.abs()) < 1e-3


def averaged_weights(game: Game, state: Tree) -> Tree:
    """The generator side's weights as a user gets them: the moving average where there is one."""
    mine = game.moved(state["params"], "generator")
    return tree.unvector(mine, state["average"]) if "average" in state else mine
