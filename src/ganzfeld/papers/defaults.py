"""Numbers that papers share, for the most part those that no paper says: each is named once, and merged into a record
before the paper's own."""

from __future__ import annotations

from .paper import Number

SEARCH = "the search on ring8 and grid25, benchmarks/results/search.md"
VALIDATION = "chosen by the validation part of MovieLens-100K"
OURS = "our choice"

RATES = {
    "critic_lr": Number(None, "lr is for both players"),
    "lr_warm_up": Number(0, "no paper here warms up"),
}
BOTH_RATES = {**RATES, "generator_lr": Number(None, "lr is for both players")}

PLANE = {
    **BOTH_RATES,
    "n_critic": Number(1, f"{OURS}: one turn each"),
    "share_fakes": Number(False, "Goodfellow et al. 2014, Algorithm 1: each turn has noise of its own"),
    "lr_schedule": Number("linear", f"{OURS}: what circles an equilibrium settles as the rate falls"),
    "batch_size": Number(128, OURS),
    "ema_half_life": Number(25_000, f"{OURS}: 200 turns of 128; Yazici et al. 2018 for averaging"),
}
PLANE_ADAM = {**PLANE, "betas": Number((0.0, 0.99), SEARCH)}

PICTURES = {
    **PLANE,
    "n_critic": Number(1, "Radford et al. 2016: one turn each"),
    "lr_schedule": Number("constant", "Radford et al. 2016: the rate stays"),
    "batch_size": Number(64, "the public PyTorch form of DCGAN"),
    "classes": Number(0, "no labels"),
    "augment": Number("", "no augmentation"),
}

CLIPPED = {
    "n_critic": Number(5, "Arjovsky et al. 2017, Algorithm 1"),
    "warm": Number(100, "Arjovsky et al. 2017, the authors' code"),
    "warm_steps": Number(25, "Arjovsky et al. 2017, the authors' code"),
    "warm_every": Number(500, "Arjovsky et al. 2017, the authors' code"),
}
