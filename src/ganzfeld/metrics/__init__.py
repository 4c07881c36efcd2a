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
    measure_on_line,
    nodes,
    optimal_discriminator_value,
    total_variation,
)
from .features import frechet_distance, gaussian_frechet, kernel_distance
from .hyperplane import hyperplane_distance, scale_factors, soft_margin
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
from .manifold import density_coverage, nearest_neighbours, precision_recall
from .modes import HIGH_QUALITY_CEILING, OVER_CONCENTRATED, high_quality_radius, mode_coverage
from .saturation import payoff_factors, saturation
from .transport import sliced_w1, w1, w1_gaussians_1d, w1_line
