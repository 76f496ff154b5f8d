"""Methods of a comparison, and which of them its figures draw."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from stencilnet.errors import unknown
from stencilnet.report.style import highlighted

_SHOWN = 3  # methods in a figure that has a panel or a band for each


def leading_methods(comparison: xr.Dataset, count: int = _SHOWN) -> list[str]:
    """Highlighted methods, then those of the lowest mean relative L2 error.

    Methods with a blow-up are left out, unless they are highlighted or no other is
    there.
    """
    mean = comparison["relative_l2"].mean("sample").values
    names = method_names(comparison)
    ranked = sorted(zip(mean, names, strict=True), key=lambda pair: pair[0])
    first = highlighted(comparison, "scheme", "learned")
    best = [name for error, name in ranked if np.isfinite(error) and name not in first]
    return [*first, *best][:count] or names[:count]


def method_names(comparison: xr.Dataset) -> list[str]:
    """Names of all methods, in their order."""
    return [str(name) for name in comparison["scheme"].values]


def drawn_methods(
    comparison: xr.Dataset, methods: Sequence[str] | None, *, everything: bool = False
) -> list[str]:
    """The methods to draw, validated.

    Args:
        comparison: of methods.
        methods: asked for, if any.
        everything: whether all are drawn by default rather than the leading ones.

    Raises:
        ValueError: if none are asked for, or one is not in the comparison.
    """
    names = method_names(comparison)
    if methods is None:
        return names if everything else leading_methods(comparison)
    if not methods:
        raise ValueError("There is nothing to draw: name at least one method.")
    for name in methods:
        if name not in names:
            raise unknown("method in the comparison", name, names)
    return list(methods)
