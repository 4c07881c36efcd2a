r"""What codes are worth: whether pairs are matched, what a code tells of its class, how well scores find what is odd.

A two-sample test by a classifier asks whether two laws can be told apart: trained on a half of the rows of both, its
accuracy on the other half is 1/2 where they are equal, with standard deviation :math:`1 / (2\sqrt{n})` on n rows.
Nearest neighbours and a linear probe read classes off features without training these; they say as much of the raw
values, so never show the one without the other.
Sources: Lopez-Paz and Oquab 2017 (two-sample tests); Donahue et al. 2017 (BiGAN), section 4.1 (1-NN).
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from .manifold import nearest_neighbours


def two_sample_accuracy(a: Tensor, b: Tensor, seed: int = 0) -> float:
    """The share in [0, 1] of held-out rows of a [n, d] and b [n, d] that a perceptron, trained on the others, tells
    right; 1/2 for equal laws. Rows are halved in order. nan where a number is not finite. Raises ValueError for fewer
    than four rows.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    n = min(len(a), len(b))
    if n < 4:
        raise ValueError(f"a two-sample test needs at least four rows of either sample, not {n}")
    x = torch.cat([a[:n], b[:n]]).double()
    if not bool(x.isfinite().all()):
        return float("nan")
    trained = (torch.arange(n) < n // 2).repeat(2)
    side = (torch.arange(2 * n) >= n).long()
    x = (x - x[trained].mean(0)) / x[trained].std(0).clamp(min=1e-12)
    judge = MLPClassifier((64, 64), alpha=1e-3, max_iter=60, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # sixty epochs are the test
        judge.fit(x[trained].numpy(), side[trained].numpy())
    return float(judge.score(x[~trained].numpy(), side[~trained].numpy()))


def nearest_accuracy(train: Tensor, classes: Tensor, test: Tensor, truth: Tensor) -> float:
    """The share of test rows [n, m] whose nearest training row [l, m] is of their class. nan where a feature is not
    finite."""
    if not bool(train.isfinite().all() and test.isfinite().all()):
        return float("nan")
    return float((classes[nearest_neighbours(test, train).indices[:, 0]] == truth).double().mean())


def probe_accuracy(train: Tensor, classes: Tensor, test: Tensor, truth: Tensor) -> float:
    """The share of test rows [n, m] whose class a linear classifier tells: logistic regression with a unit L2 penalty
    on standardised columns, trained on [l, m]. nan where a feature is not finite."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not bool(train.isfinite().all() and test.isfinite().all()):
        return float("nan")
    mean, std = train.mean(0), train.std(0).clamp(min=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a probe within a tenth of a point
        probe = LogisticRegression(max_iter=100).fit(((train - mean) / std).numpy(), classes.numpy())
    return float(probe.score(((test - mean) / std).numpy(), truth.numpy()))


def roc_auc(scores: Tensor, odd: Tensor) -> float:
    """The area under the ROC curve of scores [n] that should be high where ``odd`` [n] is true: the share of pairs of
    an odd and an ordinary row in which the odd one has the higher score. nan where either kind is missing."""
    from sklearn.metrics import roc_auc_score

    both = bool(odd.any()) and not bool(odd.all())
    return float(roc_auc_score(odd.numpy(), scores.numpy())) if both else float("nan")
