"""Papers: one file each, a function that returns a `Game`, every number with its source.

A paper's numbers are for the paper's own task; each file says what was changed for the plane. The signature is the
configuration: the command line's ``--set`` reads it. A paper that is set for both has two functions, and the shape of a
sample decides: `TABLE` for vectors, `PICTURES` for pictures. Retrieval has papers of its own, `INTERACTIONS` of users
with items and `LETOR` of documents with features.
"""

from __future__ import annotations

from collections.abc import Callable

from ..game import Game
from .ali import ali, ali_pictures
from .bigan import bigan, bigan_pictures
from .dcgan import dcgan
from .dns import bpr, dns, dns_letor
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
from .geometric import geometric, geometric_pictures
from .irgan import irgan, irgan_letor
from .irgan_pairwise import irgan_pairwise, irgan_pairwise_letor
from .lsgan import lsgan, lsgan_pictures
from .mcgan import mcgan
from .mcgan_cov import mcgan_cov, mcgan_cov_pictures
from .mcgan_mean import mcgan_mean
from .ns_gan import ns_gan
from .r1gan import r1gan
from .r3gan import r3gan, r3gan_pictures
from .sngan import sngan, sngan_pictures
from .wgan import wgan, wgan_pictures
from .wgan_gp import wgan_gp, wgan_gp_pictures

TABLE: dict[str, Callable[..., Game]] = {
    paper.__name__.replace("_", "-"): paper
    for paper in (
        gan, ns_gan, lsgan, wgan, wgan_gp, dragan, sngan,
        fgan_kl, fgan_rkl, fgan_pearson, fgan_neyman, fgan_hellinger, fgan_js, fgan_gan, fgan_tv,
        mcgan_mean, mcgan_cov, mcgan, geometric, r1gan, r3gan, ali, bigan,
    )
}  # fmt: skip

PICTURES: dict[str, Callable[..., Game]] = {
    "dcgan": dcgan,
    "wgan": wgan_pictures,
    "wgan-gp": wgan_gp_pictures,
    "sngan": sngan_pictures,
    "lsgan": lsgan_pictures,
    "geometric": geometric_pictures,
    "mcgan-cov": mcgan_cov_pictures,
    "r3gan": r3gan_pictures,
    "ali": ali_pictures,
    "bigan": bigan_pictures,
}

INTERACTIONS: dict[str, Callable[..., Game]] = {
    "irgan": irgan,
    "irgan-pairwise": irgan_pairwise,
    "dns": dns,
    "bpr": bpr,
}

LETOR: dict[str, Callable[..., Game]] = {
    "irgan": irgan_letor,
    "irgan-pairwise": irgan_pairwise_letor,
    "dns": dns_letor,
}

NAMES: tuple[str, ...] = tuple(dict.fromkeys((*TABLE, *PICTURES, *INTERACTIONS)))
