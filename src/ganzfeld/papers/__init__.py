"""Papers: one file each, a function that returns a `Game`, every number with its source.

A paper's numbers are for the paper's own task; each file says what was changed for the plane. The signature is the
configuration: the command line's ``--set`` reads it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..game import Game
from .dragan import dragan
from .fgan_gan import fgan_gan
from .fgan_hellinger import fgan_hellinger
from .fgan_js import fgan_js
from .fgan_kl import fgan_kl
from .fgan_neyman import fgan_neyman
from .fgan_pearson import fgan_pearson
from .fgan_rkl import fgan_rkl
from .fgan_tv import fgan_tv
from .gan import gan
from .geometric import geometric
from .lsgan import lsgan
from .mcgan import mcgan
from .mcgan_cov import mcgan_cov
from .mcgan_mean import mcgan_mean
from .ns_gan import ns_gan
from .r1gan import r1gan
from .r3gan import r3gan
from .sngan import sngan
from .wgan import wgan
from .wgan_gp import wgan_gp

TABLE: dict[str, Callable[..., Game]] = {
    paper.__name__.replace("_", "-"): paper
    for paper in (
        gan, ns_gan, lsgan, wgan, wgan_gp, dragan, sngan,
        fgan_kl, fgan_rkl, fgan_pearson, fgan_neyman, fgan_hellinger, fgan_js, fgan_gan, fgan_tv,
        mcgan_mean, mcgan_cov, mcgan, geometric, r1gan, r3gan,
    )
}  # fmt: skip
