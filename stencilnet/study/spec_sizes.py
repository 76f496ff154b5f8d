"""Sizes in the spec of a stored operator, before anything is built of it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

# Points of a grid, and weights of a network, of a stored operator, at most.
_LARGEST, _MOST_LAYERS = 2**22, 64


def check_sizes(spec: Mapping[str, Any], path: Path) -> None:
    """Raises if a spec asks for a grid or a network of absurd size.

    Building it would take the memory before its weights are compared with it.

    Raises:
        ValueError: naming the number.
    """
    for key, value in _numbers(spec):
        if key != "seed" and abs(value) > _LARGEST:
            raise ValueError(
                f"{path} has a spec with {key} = {float(value):.3g}, beyond what an "
                f"operator is built of: give a store that stencilnet wrote."
            )
    network = spec.get("network")
    hidden = network.get("hidden") if isinstance(network, Mapping) else None
    sizes = [size for size in hidden or [] if isinstance(size, int)]
    weights = sum(abs(one * other) for one, other in pairwise(sizes))
    if weights > _LARGEST or len(sizes) > _MOST_LAYERS:
        raise ValueError(
            f"{path} has a network of {len(sizes)} layers with {weights:.3g} weights, "
            f"beyond what is trained here: give a store that stencilnet wrote."
        )


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """All whole numbers in a spec, each with the key that it stands under."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner, key)
    elif isinstance(value, int):
        yield key, value
