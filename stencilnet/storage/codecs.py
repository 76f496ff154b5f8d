"""How arrays are compressed, and the metadata of a store gathered at its root."""

import warnings
from pathlib import Path

import numpy as np
import zarr
from numcodecs import zstd
from zarr.codecs import ZstdCodec

COMPRESSOR = ZstdCodec(level=3, checksum=True)
"""Of every chunk; a bit that flips on disk is noticed."""

MOST_COMPRESSION = 900
"""Factor by which data are compressed at most that are not small.

Readers take stores that expand by some times more for an attack.
"""

# Data that expand to as much need no care, in bytes.
_SMALL = 2**27


def compressor_of(sample: np.ndarray, size: int) -> ZstdCodec | None:
    """The compressor for data like a sample, None where they are not to be compressed.

    Args:
        sample: some of them.
        size: bytes of all.
    """
    if size > _SMALL and sample.nbytes:
        compressed = len(zstd.compress(np.ascontiguousarray(sample), 3))
        if sample.nbytes > MOST_COMPRESSION * compressed:
            return None
    return COMPRESSOR


def consolidate(path: Path) -> None:
    """Writes the consolidated metadata of every group of a store, root included."""
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    names = [name for name, node in root.members(None) if isinstance(node, zarr.Group)]
    with warnings.catch_warnings():
        # They are an extension of format 3, without which xarray warns instead.
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
        for name in sorted(names, key=len, reverse=True):
            zarr.consolidate_metadata(path, path=name, zarr_format=3)
        zarr.consolidate_metadata(path, zarr_format=3)
