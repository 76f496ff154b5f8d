"""Pieces of a variable of a store, read without the rest of it in memory.

A file is read whole and compared with its checksum before its first use. After that,
chunks are read by their places in it, each with its own checksum, as long as the file
has not changed since.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numcodecs.zstd import decompress

from stencilnet.storage.blocks import shard_key
from stencilnet.storage.diagnosis import DamagedError, damaged
from stencilnet.storage.guard import GuardedStore
from stencilnet.storage.metadata import frame_size

# The place of a chunk that was never written.
_ABSENT = np.iinfo(np.uint64).max
_UNREADABLE = (OSError, RuntimeError, ValueError)


class Pieces:
    """A variable over (sample, time, x) whose pieces are read when they are asked for.

    For one thread at a time.

    Args:
        store: of trajectories, with the checksums of its blocks, see `pin_checksums`.
        name: of the variable.
        memory: bytes of chunks that are kept for the next pieces.

    Attributes:
        shape: of the variable.
        block: samples in a file.

    Raises:
        ValueError: if the variable does not lie in blocks of samples.

    Example:
        >>> import numpy as np
        >>> from stencilnet.storage import Pieces, open_pieces, trajectories
        >>> from stencilnet.storage import write_trajectories
        >>> u = np.arange(24.0).reshape(2, 3, 4)
        >>> dataset = trajectories(u, times=[0.0, 0.1, 0.2], period=1.0)
        >>> with open_pieces(write_trajectories(dataset, "u.zarr")) as (_, pieces):
        ...     stored = pieces("u")
        ...     piece = stored.read(np.array([1]), np.array([2]), length=1)
        >>> isinstance(stored, Pieces), stored.shape, piece.tolist()
        (True, (2, 3, 4), [[[20.0, 21.0, 22.0, 23.0]]])
    """

    def __init__(self, store: GuardedStore, name: str, memory: int = 0) -> None:
        layout = store.metadata.arrays[name]
        if not layout.sharded or layout.chunk[1:] != layout.file[1:]:
            raise ValueError(
                f"{store.root} does not hold {name} in blocks of samples, of which "
                f"pieces can be read: write it anew by write_trajectories."
            )
        self.shape: tuple[int, ...] = layout.shape
        self.block = layout.file[0]
        self._store, self._name, self._layout = store, name, layout
        self._dtype = np.dtype(f"<f{layout.item}")
        self._places: dict[int, np.ndarray] = {}
        self._states: dict[int, tuple[int, ...]] = {}
        self._opened: tuple[int, FileIO] | None = None
        chunks = -(-layout.shape[0] // layout.chunk[0])
        most = max(min(memory // layout.chunk_bytes, chunks), 1)
        # Decoded chunks by their places in one array, so that memory stays whole.
        self._decoded = np.empty((most, *layout.chunk), self._dtype)
        self._free = list(range(most))
        self._kept: OrderedDict[int, int] = OrderedDict()

    def read(
        self, rows: np.ndarray, starts: np.ndarray, length: int
    ) -> Float[np.ndarray, "piece time x"]:
        """Pieces of `length` states each, of some samples from some states on.

        Raises:
            IndexError: if a piece lies outside of what is stored.
            OSError: if the system refuses to read them.
            ValueError: if what is read is damaged, naming the store.
        """
        samples, states = self.shape[:2]
        outside = (rows < 0) | (rows >= samples)
        outside |= (starts < 0) | (starts + length > states)
        if outside.any():
            place = int(outside.argmax())
            raise IndexError(
                f"{length} states of sample {rows[place]} from state {starts[place]} "
                f"on lie outside of {self._store.root}, which holds {samples} samples "
                f"of {states} states."
            )
        found = np.empty((len(rows), length, *self.shape[2:]), self._dtype)
        size = self._layout.chunk[0]
        # Each chunk is decoded once, and those of a file one after another.
        try:
            for place in np.argsort(rows, kind="stable").tolist():
                chunk, row = divmod(int(rows[place]), size)
                start = int(starts[place])
                found[place] = self._chunk(chunk)[row, start : start + length]
        finally:
            self._open(None)
        return found

    def blocks(self) -> Iterator[Float[np.ndarray, "sample time x"]]:
        """All samples, some of one file after another."""
        samples, length = self.shape[:2]
        for start in range(0, samples, self.block):
            rows = np.arange(start, min(start + self.block, samples))
            yield self.read(rows, np.zeros_like(rows), length)

    def _chunk(self, number: int) -> np.ndarray:
        """The decoded chunk of a number, kept as long as there is room."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._decoded[self._kept[number]]
        if not self._free:
            self._free.append(self._kept.popitem(last=False)[1])
        place = self._free[-1]
        try:
            self._decode(number, self._decoded[place])
        except _UNREADABLE as error:
            raise damaged(Path(self._store.root), error) from error
        self._kept[number] = self._free.pop()
        return self._decoded[place]

    def _decode(self, number: int, into: np.ndarray) -> None:
        layout = self._layout
        content = self._content(*divmod(number, layout.chunks_per_file))
        if content is None:
            raise DamagedError(f"a chunk of {self._name} in it is missing")
        if not layout.compressed:
            into[...] = np.frombuffer(content, self._dtype).reshape(layout.chunk)
        elif frame_size(content[:18]) == layout.chunk_bytes:
            decompress(content, into)
        else:
            raise DamagedError(f"a chunk of {self._name} in it has another size")

    def _content(self, file: int, place: int) -> bytes | None:
        """A chunk as it is stored, from a file that is as it was when checked."""
        if self._opened is None or self._opened[0] != file:
            self._open(file)
        assert self._opened is not None
        start, size = self._places[file][place].tolist()
        if start == size == _ABSENT:
            return None
        opened = self._opened[1]
        opened.seek(start)
        return opened.read(size)

    def _open(self, file: int | None) -> None:
        """Opens the file of a number, checked, in place of the one that is open."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None
        if file is None:
            return
        key = shard_key(self._name, file, len(self.shape))
        opened = (Path(self._store.root) / key).open("rb", buffering=0)
        self._opened = (file, opened)
        state = _state(opened.fileno())
        if self._states.get(file) != state:
            self._check(file, key)
            if _state(opened.fileno()) != state:
                raise DamagedError("it was changed while it was read")
            self._states[file] = state

    def _check(self, file: int, key: str) -> None:
        """Compares a file with its checksum and notes where its chunks are."""
        content = self._store.reread(key)
        if content is None:
            raise DamagedError(f"{key} in it is missing")
        length = 16 * self._layout.chunks_per_file + 4
        table = np.frombuffer(content[len(content) - length : -4], dtype="<u8")
        self._places[file] = table.reshape(-1, 2)


def _state(descriptor: int) -> tuple[int, ...]:
    """What changes when a file does."""
    status = os.fstat(descriptor)
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
