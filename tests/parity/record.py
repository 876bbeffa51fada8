"""Compares with a peer, and keeps the largest difference of every item."""

import numpy as np

# Item -> {"difference", "tolerance", "peer"}: what the parity table is made of.
differences = {}


def relative_difference(ours, theirs):
    """Largest absolute difference over the largest absolute value of theirs.

    Per tensor, not per element: values near zero are differences of larger
    ones, and no float32 code gets them to a relative 1e-5.
    """
    ours = np.asarray(ours, "float64")
    theirs = np.asarray(theirs, "float64")
    if ours.shape != theirs.shape:
        raise AssertionError(f"shapes differ: {ours.shape}, {theirs.shape}")
    if not np.isfinite(theirs).all():
        raise AssertionError("the peer's values are not finite")
    scale = np.abs(theirs).max()
    difference = np.abs(ours - theirs).max()
    return float(difference / scale if scale else difference)


def check(item, ours, theirs, tolerance, peer):
    """Fails if the two differ by more than the tolerance.

    Args:
        item: str. A row of the parity table; a row keeps its largest.
        ours: Array.
        theirs: Array of the same shape.
        tolerance: float. Relative, as `relative_difference` has it.
        peer: str. Whose values `theirs` are.
    """
    difference = relative_difference(ours, theirs)
    row = differences.setdefault(
        item, {"difference": 0.0, "tolerance": tolerance, "peer": peer}
    )
    # A NaN of ours must not pass for small.
    row["difference"] = float(np.fmax(row["difference"], difference))
    if not difference <= tolerance:
        row["difference"] = difference
        raise AssertionError(
            f"{item}: differs from {peer} by {difference:.2e}, "
            f"allowed {tolerance:.0e}"
        )
