"""The metadata of a store, checked against what this package writes before it is used.

Format 3 of zarr, groups and arrays of plain numbers, compressed by Zstandard, in chunks
or in shards of chunks: nothing else is decoded, whoever wrote the store.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_METADATA = 2**22
"""Bytes of all metadata of a store, at most."""

MOST_ARRAYS = 2000
_SIZE_OF = {
    **{f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "bool": 1,
    "float32": 4,
    "float64": 8,
}
# A part of a name: printable, no path of its own.
_NAME = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f-\x9f]{1,200}")
# Past that numbers of entries are no longer exact, nor are there so many anywhere.
_Size = Annotated[int, Field(ge=0, le=2**53)]
_Chunk = Annotated[int, Field(ge=1, le=2**40)]
_Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Endian(_Strict):
    endian: Literal["little"] = "little"


class _BytesCodec(_Strict):
    name: Literal["bytes"]
    configuration: _Endian = _Endian()


class _Zstd(_Strict):
    level: Annotated[int, Field(ge=-(2**17), le=22)] = 0
    checksum: bool = False


class _ZstdCodec(_Strict):
    name: Literal["zstd"]
    configuration: _Zstd = _Zstd()


class _ChecksumCodec(_Strict):
    name: Literal["crc32c"]
    configuration: dict[str, None] = {}


class _Sharding(_Strict):
    chunk_shape: Annotated[list[_Chunk], Field(max_length=4)]
    codecs: Annotated[list[_BytesCodec | _ZstdCodec], Field(min_length=1, max_length=2)]
    index_codecs: Annotated[
        list[_BytesCodec | _ChecksumCodec], Field(min_length=2, max_length=2)
    ]
    index_location: Literal["end"] = "end"


class _ShardingCodec(_Strict):
    name: Literal["sharding_indexed"]
    configuration: _Sharding


class _ChunkShape(_Strict):
    chunk_shape: Annotated[list[_Chunk], Field(max_length=4)]


class _ChunkGrid(_Strict):
    name: Literal["regular"]
    configuration: _ChunkShape


class _Separator(_Strict):
    separator: Literal["/"] = "/"


class _KeyEncoding(_Strict):
    name: Literal["default"]
    configuration: _Separator = _Separator()


class _Array(_Strict):
    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: Annotated[list[_Size], Field(max_length=4)]
    data_type: str
    chunk_grid: _ChunkGrid
    chunk_key_encoding: _KeyEncoding
    fill_value: bool | int | float | str
    codecs: Annotated[
        list[_BytesCodec | _ZstdCodec | _ShardingCodec],
        Field(min_length=1, max_length=2),
    ]
    attributes: dict[str, Any] = {}
    dimension_names: list[_Name | None] | None = None
    storage_transformers: Annotated[list[None], Field(max_length=0)] = []


class _Group(_Strict):
    zarr_format: Literal[3]
    node_type: Literal["group"]
    attributes: dict[str, Any] = {}
    consolidated_metadata: Any = None


@dataclass(frozen=True)
class ChunkLayout:
    """How the chunks of an array lie in its files.

    Attributes:
        shape: of the array.
        file: shape of the part of it in one file, a chunk or a shard.
        chunk: shape of a chunk.
        item: bytes of an entry.
        compressed: whether chunks are compressed.
    """

    shape: tuple[int, ...]
    file: tuple[int, ...]
    chunk: tuple[int, ...]
    item: int
    compressed: bool

    @property
    def sharded(self) -> bool:
        return self.file != self.chunk or self._always_sharded

    _always_sharded: bool = False

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk) * self.item

    @property
    def chunks_per_file(self) -> int:
        return math.prod(self.file) // math.prod(self.chunk)

    @property
    def bytes(self) -> int:
        """Of the whole array."""
        return math.prod(self.shape) * self.item

    def holds(self, place: tuple[int, ...]) -> bool:
        """Whether there is a file at this place of the grid of files."""
        return len(place) == len(self.shape) and all(
            index * size < length
            for index, size, length in zip(place, self.file, self.shape, strict=True)
        )


@dataclass(frozen=True)
class Metadata:
    """Metadata of a store.

    Attributes:
        groups: attributes of each group, by path; the root's path is empty.
        arrays: layout of each array, by path.
        documents: all metadata as they stand in `zarr.json`, by path.
    """

    groups: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, ChunkLayout]
    documents: Mapping[str, Mapping[str, Any]]


def parse(text: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: if the text is none.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("its metadata are nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("its metadata are no JSON object")
    return value


def checked(root: Mapping[str, Any]) -> Metadata:
    """The metadata of a store, from those of its root with all others consolidated.

    Raises:
        ValueError: with a clause on what is not as this package writes it.
    """
    consolidated = root.get("consolidated_metadata")
    inner = consolidated.get("metadata") if isinstance(consolidated, dict) else None
    if not isinstance(inner, dict):
        raise ValueError("its metadata are not consolidated")
    if len(inner) > MOST_ARRAYS:
        raise ValueError(f"it has {len(inner)} arrays, more than {MOST_ARRAYS}")
    documents: dict[str, Mapping[str, Any]] = {"": root, **inner}
    groups: dict[str, Mapping[str, Any]] = {}
    arrays: dict[str, ChunkLayout] = {}
    for path, document in documents.items():
        parts = path.split("/") if path else []
        if len(parts) > 3 or not all(_NAME.fullmatch(part) for part in parts):
            raise ValueError(f"an array has the name {path[:80]!r}")
        if not isinstance(document, dict):
            raise ValueError(f"{path or 'its root'} has no metadata")
        if path and document.get("node_type") == "array":
            arrays[path] = _layout(path, document)
        else:
            groups[path] = _model(_Group, path, document).attributes
    for path in {*arrays, *groups}:
        parent = path.rpartition("/")[0]
        if parent not in groups:
            raise ValueError(f"{path} lies in no group")
    return Metadata(groups, arrays, documents)


def _layout(path: str, document: Mapping[str, Any]) -> ChunkLayout:
    array = _model(_Array, path, document)
    if array.data_type not in _SIZE_OF:
        raise ValueError(f"{path} has the data type {array.data_type[:40]!r}")
    file, shape = array.chunk_grid.configuration.chunk_shape, array.shape
    names = array.dimension_names
    if len(file) != len(shape) or (names is not None and len(names) != len(shape)):
        raise ValueError(f"the chunks of {path} do not fit its shape")
    first, *others = array.codecs
    sharded = isinstance(first, _ShardingCodec)
    chunk, codecs = file, [first, *others]
    if sharded:
        if others:
            raise ValueError(f"{path} has other codecs than this package's")
        chunk, codecs = first.configuration.chunk_shape, [*first.configuration.codecs]
        index = [codec.name for codec in first.configuration.index_codecs]
        fits = len(chunk) == len(file) and not any(
            whole % part for whole, part in zip(file, chunk, strict=True)
        )
        if not fits or index != ["bytes", "crc32c"]:
            raise ValueError(f"the shards of {path} do not fit its chunks")
    if [codec.name for codec in codecs] not in (["bytes"], ["bytes", "zstd"]):
        raise ValueError(f"{path} has other codecs than this package's")
    return ChunkLayout(
        tuple(shape),
        tuple(file),
        tuple(chunk),
        _SIZE_OF[array.data_type],
        len(codecs) == 2,
        sharded,
    )


def _model(model: type[Any], path: str, document: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(document)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise ValueError("its metadata are nested too deeply") from None
        detail = error.errors()[0]
        key = ".".join(str(part) for part in detail["loc"] if not _is_model(part))[:80]
        raise ValueError(
            f"the metadata of {path or 'its root'} are bad at {key}"
        ) from None


def _is_model(part: Any) -> bool:
    return isinstance(part, str) and part.startswith("_")


def frame_size(head: bytes) -> int | None:
    """The size that a Zstandard frame declares of its content; None for none.

    Source: RFC 8878, section 3.1.1.1.
    """
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    descriptor = head[4]
    single = descriptor >> 5 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    start = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    if not width or len(head) < start + width:
        return None
    size = int.from_bytes(head[start : start + width], "little")
    return size + 256 if width == 2 else size


def check_file(layout: ChunkLayout, content: bytes | memoryview) -> None:
    """Raises unless a file of an array decodes to chunks of the declared size.

    Raises:
        ValueError: with a clause on what is wrong.
    """
    if not layout.sharded:
        _check_chunk(layout, content)
        return
    count = layout.chunks_per_file
    length = 16 * count + 4
    if len(content) < length:
        raise ValueError("it is shorter than its index")
    table = np.frombuffer(content[len(content) - length : -4], dtype="<u8")
    data = len(content) - length
    empty = np.iinfo(np.uint64).max
    for start, size in table.reshape(count, 2).tolist():
        if start == size == empty:
            continue
        if start + size > data:
            raise ValueError("its index leads out of it")
        _check_chunk(layout, content[start : start + size])


def _check_chunk(layout: ChunkLayout, content: bytes | memoryview) -> None:
    size = frame_size(bytes(content[:18])) if layout.compressed else len(content)
    if size != layout.chunk_bytes:
        raise ValueError("a chunk in it has not the size that the array declares")
