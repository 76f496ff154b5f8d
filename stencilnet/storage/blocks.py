"""Datasets over samples on disk, block by block, each block with its checksums.

A variable that runs over samples lies in shards, one file for each block of samples, of
chunks with some samples each. When all files of a block are written, their SHA-256 are
entered in the variable `block_checksum` (block, checked, byte), whose attribute
`variables` names those of the second axis: a block counts once it stands there. Files
that another process wrote are compared with it before they count.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import UInt8
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from stencilnet.errors import plain
from stencilnet.storage.codecs import COMPRESSOR, compressor_of, consolidate
from stencilnet.storage.diagnosis import DamagedError
from stencilnet.storage.disk import flush_one
from stencilnet.storage.guard import GuardedStore
from stencilnet.storage.interruption import uninterrupted
from stencilnet.storage.provenance import CIRCUMSTANCES, described

CHECKSUMS = "block_checksum"
"""The variable that holds the checksums of all blocks."""

# Chunks are small, as random pieces of trajectories are read chunk by chunk.
_CHUNK_BYTES, _BLOCK_BYTES = 2**17, 2**25
_DIGEST = 32


def samples_in_block(dataset: xr.Dataset, samples: int | None = None) -> int:
    """Samples of a block of moderate size, at least one.

    Args:
        dataset: with the variables of the store.
        samples: of the store; those of `dataset` by default.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import samples_in_block, trajectories
        >>> sample = trajectories(np.zeros((101, 128)), np.arange(101) / 10, period=1.0)
        >>> samples_in_block(sample, samples=10_000)  # 32 MiB / (101 * 128 * 8)
        324
    """
    samples = dataset.sizes["sample"] if samples is None else samples
    rows = [
        math.prod(variable.shape[1:]) * variable.dtype.itemsize
        for variable in dataset.variables.values()
        if variable.dims[:1] == ("sample",)
    ]
    return max(1, min(_BLOCK_BYTES // max(*rows, 1, 1), samples))


class BlockWriter:
    """A store that receives its blocks in any order, each once, from any process.

    Args:
        folder: of the store, which is being made, see `new_store`. Blocks that an
            earlier process wrote there are kept if they are whole.
        template: the first block, or any with its variables; those that do not run over
            samples are those of the store.
        samples: of the store.
        block: samples of each block but the last.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from stencilnet.storage import BlockWriter, trajectories
        >>> dataset = trajectories(np.zeros((4, 2, 8)), times=[0.0, 1.0], period=1.0)
        >>> writer = BlockWriter(Path("blocks.zarr"), dataset, samples=4, block=2)
        >>> writer.write(1, dataset.isel(sample=writer.rows(1)))
        >>> BlockWriter(Path("blocks.zarr"), dataset, samples=4, block=2).missing
        [0]
    """

    def __init__(
        self, folder: Path, template: xr.Dataset, *, samples: int, block: int
    ) -> None:
        self.folder, self.samples, self.block = folder, samples, block
        self.names = [
            str(name)
            for name, variable in template.variables.items()
            if variable.dims[:1] == ("sample",)
        ]
        self.blocks = math.ceil(samples / block)
        if not (folder / CHECKSUMS / "zarr.json").exists():
            with uninterrupted():
                self._create(template)
        self._group = zarr.open_group(folder, mode="r+", use_consolidated=False)
        self._table: Any = self._group[CHECKSUMS]
        self._whole: set[int] = set()

    @property
    def missing(self) -> list[int]:
        """Numbers of the blocks that are still to be written, or are damaged.

        Files that another process wrote are read once to know it.
        """
        others = set(range(self.blocks)) - self._whole
        self._whole |= {number for number in others if self._is_whole(number)}
        return sorted(others - self._whole)

    def rows(self, number: int) -> slice:
        """The samples of a block."""
        start = number * self.block
        return slice(start, min(start + self.block, self.samples))

    def write(self, number: int, block: xr.Dataset) -> None:
        """Writes a block, and then its checksums; several threads may write others."""
        # A chunk of zeros is a file as any other, or its checksum had nothing to sum.
        full = zarr.config.set({"array.write_empty_chunks": True})
        with uninterrupted(), full:
            for name in self.names:
                array: Any = self._group[name]
                array[self.rows(number)] = block[name].values
            digests = [self._digest(name, number) for name in self.names]
            if None in digests:
                raise DamagedError(f"block {number} was not written whole")
            table = np.frombuffer(b"".join(d or b"" for d in digests), dtype=np.uint8)
            self._table[number] = table.reshape(len(self.names), _DIGEST)
            self._whole.add(number)

    def flush(self, number: int) -> None:
        """Has the files of a block on the disk itself."""
        for name in self.names:
            flush_one(self._file(name, number))

    def read(self, name: str, rows: slice) -> NDArray[Any]:
        """Some samples of a variable, of blocks that are written."""
        array: Any = self._group[name]
        return np.asarray(array[rows])

    def finish(self) -> None:
        """Consolidates the metadata and adds provenance and the hash of the whole.

        Raises:
            ValueError: if a block is missing.
        """
        missing = self.missing
        if missing:
            raise ValueError(f"The blocks {missing} are not written: write them.")
        with uninterrupted():
            consolidate(self.folder)
            digest = whole_hash(GuardedStore(self.folder))
            path = self.folder / "zarr.json"
            document = json.loads(path.read_text())
            document["attributes"] |= described(digest)
            path.write_text(json.dumps(document, indent=2))

    def _create(self, template: xr.Dataset) -> None:
        """The arrays, full of zeros, and those that do not run over samples."""
        group = zarr.open_group(self.folder, mode="w", zarr_format=3)
        for name, variable in template.variables.items():
            settings: dict[str, Any] = {
                "shape": variable.shape,
                "chunks": tuple(max(size, 1) for size in variable.shape),
            }
            compressor: ZstdCodec | None = COMPRESSOR
            if name in self.names:
                settings = self._sharded(variable)
                size = math.prod(settings["shape"]) * variable.dtype.itemsize
                # Of one sample, which all who may begin the store have.
                compressor = compressor_of(variable.values[:1], size)
            array = group.create_array(
                str(name),
                dtype=variable.dtype,
                compressors=compressor,
                dimension_names=[str(dimension) for dimension in variable.dims],
                attributes=plain(dict(variable.attrs)),
                config={"write_empty_chunks": True},
                **settings,
            )
            if name not in self.names:
                array[...] = variable.values
        others = set(template.coords) - set(template.dims)
        listed = {"coordinates": " ".join(sorted(map(str, others)))} if others else {}
        group.attrs.update({**plain(dict(template.attrs)), **listed})
        group.create_array(
            CHECKSUMS,
            shape=(self.blocks, len(self.names), _DIGEST),
            chunks=(1, len(self.names), _DIGEST),
            dtype="uint8",
            compressors=COMPRESSOR,
            dimension_names=["block", "checked", "byte"],
            attributes={
                "long_name": "SHA-256 of the files of each block",
                "variables": self.names,
            },
        )

    def _sharded(self, variable: xr.Variable) -> dict[str, Any]:
        inner = variable.shape[1:]
        row = max(math.prod(inner) * variable.dtype.itemsize, 1)
        most = max(_CHUNK_BYTES // row, 1)
        rows = max(
            n for n in range(1, self.block + 1) if not self.block % n and n <= most
        )
        inner = tuple(max(size, 1) for size in inner)
        return {
            "shape": (self.samples, *variable.shape[1:]),
            "chunks": (rows, *inner),
            "shards": (self.block, *inner),
        }

    def _digest(self, name: str, number: int) -> bytes | None:
        """The checksum of the file of a block; None if it does not exist."""
        path = self._file(name, number)
        if not path.exists():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def _file(self, name: str, number: int) -> Path:
        array: Any = self._group[name]
        return self.folder / shard_key(name, number, array.ndim)

    def _is_whole(self, number: int) -> bool:
        try:
            row = np.asarray(self._table[number])
        except (OSError, RuntimeError, ValueError):
            return False
        return bool(row.any()) and all(
            self._digest(name, number) == row[place].tobytes()
            for place, name in enumerate(self.names)
        )


def shard_key(name: str, number: int, dimensions: int) -> str:
    """The file of a block of a variable."""
    return "/".join([name, "c", str(number), *["0"] * (dimensions - 1)])


def pin_checksums(store: GuardedStore) -> None:
    """Has every file of a block compared with the checksums that the store holds.

    Raises:
        ValueError: if these do not belong to the variables of the store.
    """
    names = _checked_names(store)
    table = _table(store)
    for place, name in enumerate(names):
        layout = store.metadata.arrays[name]
        for number in range(len(table)):
            key = shard_key(name, number, len(layout.shape))
            store.digests[key] = table[number, place].tobytes()


def whole_hash(store: GuardedStore) -> str:
    """SHA-256 of attributes, metadata, checksums of blocks and all other values.

    It reads what does not run over samples, and of the rest the checksums alone.
    """
    attributes = {
        key: value
        for key, value in store.metadata.groups[""].items()
        if key not in CIRCUMSTANCES
    }
    documents = {
        path: document for path, document in store.metadata.documents.items() if path
    }
    digest = hashlib.sha256()
    text = json.dumps({"attributes": attributes, "arrays": documents}, sort_keys=True)
    digest.update(text.encode())
    checked = _checked_names(store)
    for path in sorted(store.metadata.arrays):
        if path not in checked and path != CHECKSUMS:
            for key in store.keys_of(path):
                digest.update((key + "|").encode())
                digest.update(store.read(key) or b"")
    digest.update(_table(store).tobytes())
    return digest.hexdigest()


def _checked_names(store: GuardedStore) -> Sequence[str]:
    attributes = store.metadata.documents[CHECKSUMS]["attributes"]
    names: Sequence[str] = attributes["variables"]
    rows = {
        path
        for path, layout in store.metadata.arrays.items()
        if layout.sharded and path != CHECKSUMS
    }
    shape = store.metadata.arrays[CHECKSUMS].shape
    blocks = {
        math.ceil(layout.shape[0] / layout.file[0])
        for path, layout in store.metadata.arrays.items()
        if path in rows
        and layout.shape
        and layout.file[1:] == _filled(layout.shape[1:])
    }
    if set(names) != rows or blocks != {shape[0]} or shape[1:] != (len(names), _DIGEST):
        raise DamagedError("its checksums do not belong to its variables")
    return names


def _filled(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(size, 1) for size in shape)


def _table(store: GuardedStore) -> UInt8[np.ndarray, "block checked byte"]:
    group = zarr.open_group(store, mode="r", use_consolidated=True)
    array: Any = group[CHECKSUMS]
    return np.asarray(array[...])
