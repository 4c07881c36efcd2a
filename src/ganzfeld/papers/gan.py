"""The original game, Goodfellow et al. 2014, with the minimax value of Algorithm 1 and as the authors' code trains it.

The displayed generator step saturates where the critic is sure. In the non-saturating game of section 3 the generator
raises log D(G(z)) instead: the same fixed point, another vector field, at the optimal critic that of KL - 2 JS.
The paper's MNIST numbers (maxout critic 240 x 5, SGD at .1 with momentum .5 to .7, batch 100) are for pictures.
"""

from .defaults import PLANE_ADAM, SEARCH
from .paper import Number, Paper, Record

CITATION = "Goodfellow et al. 2014, Generative adversarial nets"
RECORD = Record("mlp", {**PLANE_ADAM, "n_critic": Number(1, "Algorithm 1, k = 1"), "lr": Number(1e-3, SEARCH)})

gan = Paper("gan", "The minimax game.", CITATION, "minimax", {"vectors": RECORD})
ns_gan = Paper("ns-gan", "The non-saturating game.", CITATION, "non-saturating", {"vectors": RECORD})
