"""Reading a store that anybody may have written, each file once and as it was checked.

The metadata are read and checked when a store is opened, and stay as they were then. A
file of an array is read whole, checked, and compared with the checksum that belongs to
those metadata, or with what an earlier reading of the same opened store found, before
a chunk of it is decoded: parts of two versions are never mixed.
"""

import asyncio
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from stencilnet.storage.diagnosis import DamagedError
from stencilnet.storage.metadata import (
    MOST_METADATA,
    Metadata,
    check_file,
    checked,
    parse,
)

# What may be decoded whatever its size in files, in bytes, and else as a multiple: of
# chunks, which are in memory whole, and of arrays and their files. Writers leave data
# uncompressed that would take less, see `MOST_COMPRESSION`.
_SMALL_CHUNK, _MOST_OF_CHUNK = 2**27, 2**10
_SMALL, _MOST_EXPANSION = 2**29, 2**12
_MOST_FILES = 10**6
# Some systems have some of these.
_FLAGS = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
_READING = sum({getattr(os, name, 0) for name in ("O_RDONLY", *_FLAGS)})


class GuardedStore(LocalStore):
    """A store in a folder, for reading only.

    Attributes:
        metadata: of all arrays and groups, checked.
        digests: SHA-256 of the files of arrays, by key; files that are not among them
            are added when they are first read.
    """

    supports_writes = False
    supports_deletes = False

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=True)
        self._files = _files(self.root)
        self.metadata = _metadata(self.root, self._files)
        self.digests: dict[str, bytes] = {}
        self._documents = {
            f"{path}/zarr.json".lstrip("/"): json.dumps(document).encode()
            for path, document in self.metadata.documents.items()
        }
        self._root_text = read_regular(self.root / "zarr.json", MOST_METADATA)
        self._last: tuple[str, bytes] = ("", b"")
        self._whole: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()
        for path in self.metadata.arrays:
            self._check_expansion(path)
        declared = sum(layout.bytes for layout in self.metadata.arrays.values())
        held = sum(self._files.values())
        if declared > max(_SMALL, _MOST_EXPANSION * held):
            raise DamagedError(f"it declares {declared:.2g} bytes and holds {held:.2g}")

    def with_read_only(self, read_only: bool = False) -> "GuardedStore":
        return self

    def keys_of(self, path: str) -> list[str]:
        """The files of an array, in the order of their places."""
        layout, prefix = self.metadata.arrays[path], f"{path}/c"
        places: dict[tuple[int, ...], str] = {}
        for key in self._files:
            if key == prefix and not layout.shape:
                places[()] = key
            elif key.startswith(f"{prefix}/"):
                parts = key.removeprefix(f"{prefix}/").split("/")
                if all(part.isdecimal() for part in parts):
                    place = tuple(int(part) for part in parts)
                    if layout.holds(place):
                        places[place] = key
        return [places[place] for place in sorted(places)]

    def is_replaced(self) -> bool:
        """Whether another store has the name since this one was opened."""
        try:
            text = read_regular(self.root / "zarr.json", MOST_METADATA)
        except (OSError, ValueError):
            return False
        return text != self._root_text

    def read(self, key: str) -> bytes | None:
        """A file of an array, checked; None if there is none.

        Raises:
            DamagedError: if it is not what it should be.
        """
        with self._lock:
            if self._last[0] != key:
                try:
                    content = self.reread(key)
                except DamagedError as error:
                    error.root = Path(self.root)
                    raise
                if content is None:
                    return None
                self._last = (key, content)
            return self._last[1]

    def reread(self, key: str) -> bytes | None:
        """As `read`, from the disk whatever was read before."""
        path = _array_of(key)
        layout = self.metadata.arrays.get(path)
        if layout is None:
            return None
        if key not in self._files:
            if key in self.digests:
                raise DamagedError(f"{key} in it is missing")
            return None
        most = layout.chunks_per_file * (layout.chunk_bytes + 2**16) + 2**16
        content = read_regular(self.root / key, min(most, 2 * self._files[key] + 64))
        digest = hashlib.sha256(content).digest()
        if self.digests.setdefault(key, digest) != digest:
            raise DamagedError(
                "it was replaced while it was read"
                if self.is_replaced()
                else f"{key} in it does not match its checksum"
            )
        try:
            check_file(layout, content)
        except ValueError as error:
            raise DamagedError(f"{key} in it is damaged: {error}") from None
        return content

    def _check_expansion(self, path: str) -> None:
        """Raises if far more memory would be needed than there is in the files."""
        layout = self.metadata.arrays[path]
        sizes = [self._files[key] for key in self.keys_of(path)]
        file, least = layout.chunks_per_file * layout.chunk_bytes, min(sizes, default=0)
        for size, stored, small, most in (
            (layout.bytes, sum(sizes), _SMALL, _MOST_EXPANSION),
            (file, least, _SMALL, _MOST_EXPANSION),
            (layout.chunk_bytes, least, _SMALL_CHUNK, _MOST_OF_CHUNK),
        ):
            if size > max(small, most * stored):
                raise DamagedError(
                    f"{path} declares {size:.2g} bytes and holds {stored:.2g}"
                )

    def _get(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        if key in self._documents:
            content: bytes | None = self._documents[key]
        elif key.endswith("zarr.json"):
            return None
        else:
            content = self.read(key)
        if content is None or byte_range is None:
            return content
        if isinstance(byte_range, RangeByteRequest):
            return content[byte_range.start : byte_range.end]
        if isinstance(byte_range, OffsetByteRequest):
            return content[byte_range.offset :]
        assert isinstance(byte_range, SuffixByteRequest)
        return content[max(len(content) - byte_range.suffix, 0) :]

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        content = self._get(key, byte_range)
        kind = (prototype or default_buffer_prototype()).buffer
        return None if content is None else kind.from_bytes(content)

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        content = await asyncio.to_thread(self._get, key, byte_range)
        kind = (prototype or default_buffer_prototype()).buffer
        return None if content is None else kind.from_bytes(content)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, place) for key, place in key_ranges]

    async def exists(self, key: str) -> bool:
        return key in self._documents or key in self._files

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Store.__hash__


def read_regular(path: Path, most: int) -> bytes:
    """The content of a file that is no link, no pipe and no device.

    Raises:
        DamagedError: if it is one of these, or longer than `most` bytes.
        OSError: if it cannot be read.
    """
    descriptor = os.open(path, _READING)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedError(f"{path.name} is no regular file")
        if status.st_size > most:
            raise DamagedError(f"{path.name} is longer than what it may hold")
        return file.read(most + 1)


def _files(root: Path) -> dict[str, int]:
    """Sizes of all files of a store, by key.

    Raises:
        DamagedError: if something in it is neither a folder nor a regular file.
    """
    found: dict[str, int] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                key = f"{folder}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False):
                    folders.append(key)
                elif entry.is_file(follow_symlinks=False):
                    found[key] = entry.stat(follow_symlinks=False).st_size
                else:
                    raise DamagedError(f"{key[:80]} in it is a link or no regular file")
                if len(found) + len(folders) > _MOST_FILES:
                    raise DamagedError(f"it has more than {_MOST_FILES} files")
    return found


def _metadata(root: Path, files: Mapping[str, int]) -> Metadata:
    """The metadata of a store; those of its parts are as those of its root say."""
    text = read_regular(root / "zarr.json", MOST_METADATA)
    try:
        metadata = checked(parse(text))
        read = len(text)
        for path, document in metadata.documents.items():
            if not path:
                continue
            part = read_regular(root / path / "zarr.json", MOST_METADATA - read)
            read += len(part)
            if _bare(parse(part)) != _bare(document):
                raise DamagedError(
                    f"its content does not match its checksum, as the metadata of "
                    f"{path} are not those that its root has of it"
                )
    except DamagedError:
        raise
    except FileNotFoundError as error:
        raise DamagedError(f"the metadata of a part are missing ({error})") from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(str(error)) from None
    return metadata


def _bare(document: Mapping[str, Any]) -> str:
    """Metadata as text, without consolidated ones; NaN equals NaN in it."""
    kept = {k: v for k, v in document.items() if k != "consolidated_metadata"}
    return json.dumps(kept, sort_keys=True)


def _array_of(key: str) -> str:
    """The path of the array that a file belongs to."""
    head, separator, tail = key.rpartition("/c/")
    if separator and all(part.isdecimal() for part in tail.split("/")):
        return head
    return key.removesuffix("/c")
