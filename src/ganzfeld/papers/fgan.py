"""f-GAN, Nowozin, Cseke, Tomioka 2016: a game for every f-divergence, here the eight of table 1.

KL's sample objective and reverse KL's activation are exponential, and diverge where supports part. Pearson: below
v = -2 the conjugate is looser, and the factor of the fakes changes sign. The row of Jensen-Shannon is twice that
divergence; GAN's value is 2 JS - log 4, the original game as a member of the family.
The generator either lowers the same bound (``--objective fgan-X``), as in Algorithm 1, or raises E g_f(v) of its
samples (``fgan-X-alternative``, section 3.2), which does not fade where the critic is sure; ``alternative`` chooses.
The paper's MNIST numbers (Adam 2e-4 with beta1 = .5, batch 4096) are for pictures.
"""

from .defaults import PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record, part


def _member(name: str, title: str, lr: float = 1e-3, alternative: bool = True) -> Paper:
    numbers = {**PLANE_ADAM, "lr": Number(lr, SEARCH), "alternative": Number(alternative, "section 3.2; " + SEARCH)}
    return Paper(
        f"fgan-{name}",
        title,
        "Nowozin, Cseke, Tomioka 2016, f-GAN",
        part(f"fgan-{name}", "alternative"),
        {"vectors": Record("mlp", numbers)},
    )


fgan_kl = _member("kl", "The Kullback-Leibler game.")
fgan_rkl = _member("rkl", "The reverse Kullback-Leibler game.", alternative=False)
fgan_pearson = _member("pearson", "The Pearson chi-square game.")
fgan_neyman = _member("neyman", "The Neyman chi-square game.", lr=1e-4)
fgan_hellinger = _member("hellinger", "The squared Hellinger game.", alternative=False)
fgan_js = _member("js", "The Jensen-Shannon game.")
fgan_gan = _member("gan", "The GAN game.")
fgan_tv = _member("tv", "The total variation game.", lr=3e-4)
