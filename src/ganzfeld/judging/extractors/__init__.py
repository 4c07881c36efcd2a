r"""Extractors: what a picture is compared by, when pixels are not what matters.

.. math:: \phi: [-1, 1]^{C \times H \times W} \to R^m

A distance between samples of pictures is one between samples of features, and is worth what they are worth: it is blind
to all they leave out, and no number compares with one from another extractor, or from other weights of the same. So a
number is reported with its extractor, the hash of the weights, and how pictures were brought to size. Three kinds:

* `classifier`: a small network that learns the data's own classes, or which way up their pictures are. Needs nothing
  but the data. Its distances are called fd and kd.
* `inception`: the network of the FID, with weights from a file. Its distances alone may be called fid and kid.
* `values`: the pixels themselves.
"""

from .extractor import Extractor, values, weights_digest
from .inceptionv3 import inception
from .learned import can_learn, classifier, feature_count, has_classes, has_stacked_digits
