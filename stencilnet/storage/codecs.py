"""How arrays are compressed, and the metadata of a store gathered at its root."""

import warnings
from pathlib import Path

import zarr
from zarr.codecs import ZstdCodec

COMPRESSOR = ZstdCodec(level=3, checksum=True)
"""Of every chunk; a bit that flips on disk is noticed."""


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
