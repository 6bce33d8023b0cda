"""How far two sets are from each other, by features of any kind: float64 [N,F] each."""

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]  # [N,F]
SILENT = 1e-6  # of the loudest feature: what varies less among real clips varies by rounding


def mmd(real: Features, fake: Features) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x.y/F + 1)^3; may be below 0 for equal sets.

    Binkowski et al. 2018 (KID), arXiv:1801.01401.
    """
    n, m = len(real), len(fake)
    xx, yy, xy = (_kernel(a, b) for a, b in ((real, real), (fake, fake), (real, fake)))
    within = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def _kernel(a: Features, b: Features) -> Features:
    kernel: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def alike(real: Features, fake: Features) -> tuple[Features, Features]:
    """Both sets in units of what `real` varies by in each feature, so that loud features do not drown the others."""
    centre, scale = real.mean(axis=0), real.std(axis=0)
    scale = np.where(scale > SILENT * scale.max(), scale, scale.max() or 1.0)
    return (real - centre) / scale, (fake - centre) / scale
