"""Metrics: pure functions of samples, scores and weights. None prints or rolls dice of its own: where chance is needed,
a seed says which. What a sampler is worth (`modes`, `transport`, `features`, `manifold`), what codes are (`inference`,
whose classifiers are scikit-learn's), what lists are (`ranking`), what laws are apart by (`divergences`), and what a
critic is like (`lipschitz`, `saturation`, `hyperplane`)."""

from .divergences import (
    crossings,
    f_divergence,
    gaussian,
    jensen_shannon,
    kullback_leibler,
    nodes,
    on_line,
    optimal_discriminator_value,
    total_variation,
)
from .features import frechet_distance, gaussian_frechet, kernel_distance
from .hyperplane import Factors, hyperplane_distance, scale_factors, soft_margin
from .inference import nearest_accuracy, probe_accuracy, roc_auc, two_sample_accuracy
from .lipschitz import (
    difference_quotient,
    gradient_norms,
    gradient_quantiles,
    product_bound,
    sample_mixing,
    share_at_bound,
    spectral_norms,
)
from .manifold import (
    DensityCoverage,
    Neighbours,
    PrecisionRecall,
    density_coverage,
    nearest_neighbours,
    precision_recall,
)
from .modes import HIGH_QUALITY_CEILING, OVER_CONCENTRATED, ModeCoverage, high_quality_radius, mode_coverage
from .saturation import Saturation, payoff_factors, saturation
from .transport import sliced_w1, w1, w1_gaussians_1d, w1_line

__all__ = [
    "HIGH_QUALITY_CEILING", "OVER_CONCENTRATED", "DensityCoverage", "Factors", "ModeCoverage", "Neighbours",
    "PrecisionRecall", "Saturation", "crossings", "density_coverage", "difference_quotient", "f_divergence",
    "frechet_distance", "gaussian", "gaussian_frechet", "gradient_norms", "gradient_quantiles",
    "high_quality_radius", "hyperplane_distance", "jensen_shannon", "kernel_distance", "kullback_leibler",
    "mode_coverage", "nearest_accuracy", "nearest_neighbours", "nodes", "on_line", "optimal_discriminator_value",
    "payoff_factors", "precision_recall", "probe_accuracy", "product_bound", "roc_auc", "sample_mixing",
    "saturation", "scale_factors", "share_at_bound", "sliced_w1", "soft_margin", "spectral_norms",
    "total_variation", "two_sample_accuracy", "w1", "w1_gaussians_1d", "w1_line",
]  # fmt: skip
