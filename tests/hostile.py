"""Stores that somebody made to do harm: each must be refused in a sentence.

    python tests/hostile.py FOLDER

makes and reads them all, each in a process of its own, and prints what that took.
"""

import hashlib
import itertools
import json
import os
import resource
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import xarray as xr
import zarr
from google_crc32c import value as checksum
from numcodecs.zstd import Zstd

from stencilnet import MLP, Burgers, Grid, LearnedStencil, RandomForcing
from stencilnet.errors import in_words
from stencilnet.storage import (
    read_dataset,
    read_operator,
    read_trajectories,
    save_dataset,
    trajectories,
    write_operator,
    write_trajectories,
)
from stencilnet.storage.blocks import whole_hash
from stencilnet.storage.guard import GuardedStore
from stencilnet.storage.provenance import described
from stencilnet.study import load_operator, save_operator

Damage = Callable[[Path], object]
"""Does harm to the good store at a path."""


def good(folder: Path) -> dict[str, Path]:
    """A whole store of each kind."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(3, 4, 8, dtype=torch.float64, generator=generator)
    forcing = RandomForcing.sample(3, seed=1)
    times = torch.arange(4, dtype=torch.float64)
    attributes = {
        "seed": 1,
        "step": 0.1,
        "config": "{}",
        "split": "test",
        "equation": json.dumps(Burgers(0.1).spec()),
        "courant": 0.8,
        "steps": 3,
        "self_convergence": 1e-6,
        "spectral_tail": 1e-6,
        "reference_points": 8,
    }
    data = trajectories(
        u, times, Grid.line(8), forcing, averages=True, attributes=attributes
    )
    operator = LearnedStencil(Burgers(0.1), Grid.line(16), network=MLP(4))
    described = {"step": 0.1, "integrator": "SSPRK3", "data_hash": "0" * 64}
    plain = xr.Dataset({"a": ("x", np.arange(4.0))})
    return {
        "trajectories": write_trajectories(data, folder / "trajectories.zarr"),
        "operator": save_operator(
            operator, folder / "operator.zarr", attributes=described
        ),
        "dataset": save_dataset(plain, folder / "dataset.zarr"),
    }


READERS: dict[str, Callable[[Path], object]] = {
    "trajectories": read_trajectories,
    "operator": load_operator,
    "dataset": read_dataset,
}
ARRAYS = {"trajectories": "u", "operator": "arrays/network.0.weight", "dataset": "a"}

ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": True}}
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
# What stands in the metadata of an array, by key, instead of what should.
METADATA: dict[str, list[object]] = {
    "zarr_format": [2, "3", None, [3]],
    "node_type": ["file", None, 3],
    "data_type": [
        "string",
        "complex128",
        "float16",
        "r64",
        "object",
        {"name": "numpy.datetime64", "configuration": {"unit": "s"}},
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 4}},
        None,
        ["float64"],
    ],
    "shape": [
        [10**13],
        [10**13, 10, 10],
        [2**62, 2**62],
        [-1, 4, 8],
        [1.5],
        ["3"],
        [1] * 30,
        "3",
        None,
        {},
        [],
    ],
    "chunk_grid": [
        {"name": "regular", "configuration": {"chunk_shape": [0, 0, 0]}},
        {"name": "regular", "configuration": {"chunk_shape": [-1]}},
        {"name": "regular", "configuration": {"chunk_shape": [2**40, 2**40, 2**40]}},
        {"name": "regular", "configuration": {}},
        {"name": "rectangular", "configuration": {"chunk_shape": [1]}},
        None,
    ],
    "chunk_key_encoding": [
        {"name": "v2", "configuration": {"separator": "."}},
        {"name": "default", "configuration": {"separator": "../"}},
        None,
    ],
    "codecs": [
        [BYTES, {"name": "numcodecs.pickle", "configuration": {}}],
        [{"name": "numcodecs.pickle", "configuration": {}}],
        [BYTES, {"name": "gzip", "configuration": {"level": 5}}],
        [BYTES, {"name": "blosc", "configuration": {"cname": "zstd"}}],
        [{"name": "transpose", "configuration": {"order": [0]}}, BYTES],
        [{"name": "vlen-utf8"}],
        [{"name": "os:system", "configuration": {"command": "true"}}],
        [BYTES, ZSTD, ZSTD],
        [ZSTD, BYTES],
        [BYTES, {"name": "zstd", "configuration": {"level": 10**9}}],
        [{"name": "bytes", "configuration": {"endian": "big"}}],
        [],
        None,
        "bytes",
    ],
    "fill_value": [[1], {"a": 1}, None],
    "storage_transformers": [[{"name": "run"}], "run"],
    "dimension_names": [["a"] * 9, "abc", [1], ["\x1b[31m", "b", "c"], ["x" * 999]],
    "attributes": [[], "a", None, 3],
    "must_understand": [True],
}
# Attributes of stores of each kind that are signed anew: only their meaning is bad.
ATTRIBUTES: dict[str, dict[str, list[object]]] = {
    "trajectories": {
        "seed": [-1, "1", 1.5, None.__class__.__name__, [1], True],
        "step": [0, -0.1, "0.1", float("nan"), float("inf"), [0.1]],
        "config": ["[]", "{", 3, "[" * 5000],
        "equation": ["Burgers", 1, "null"],
        "courant": [0, -1.0, "a"],
        "steps": [-3, 0.5, "many"],
        "self_convergence": [float("nan"), -1.0, "none"],
        "reference_points": [0, -8, 8.5],
        "parent": ["abc", 3],
        "denoising": ["[1]", 4],
        "split": [3, ["test"]],
    },
    "operator": {
        "step": [0, -0.1, "0.1", float("nan"), []],
        "integrator": [3, ["SSPRK3"], None.__class__],
        "data_hash": [4, {"a": 1}],
        "splitting": ["a", {"drifts": ["a"]}],
        "regimes": ["all", [1]],
        "iteration": [-1, "1"],
    },
    "dataset": {},
}
SPECS: dict[str, object] = {
    "a grid without end": {"grid": {"shape": [10**12], "extent": [1.0]}},
    "a grid of nothing": {"grid": {"shape": [0], "extent": [1.0]}},
    "a grid that is none": {"grid": 3},
    "a negative period": {"grid": {"shape": [16], "extent": [-1.0]}},
    "a wide network": {"network": {"kind": "mlp", "hidden": [10**9, 10**9]}},
    "a deep network": {"network": {"kind": "mlp", "hidden": [1] * 10**5}},
    "a network of its own": {"network": {"kind": "os:system"}},
    "a network without kind": {"network": {}},
    "an equation of its own": {"equation": {"name": "subprocess:Popen"}},
    "an equation that is none": {"equation": [1]},
    "a form of its own": {"form": "builtins:eval"},
    "a wide stencil": {"width": 10**9},
    "a stencil of text": {"width": "wide"},
    "another type": {"dtype": "object"},
    "a kind of its own": {"kind": ["picture"]},
}


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Changes the metadata at a path, in the place or by a return value."""
    document = json.loads(path.read_text())
    changed = change(document)
    path.write_text(json.dumps(document if changed is None else changed))


def put(array: str, key: str, value: object) -> Damage:
    """Changes metadata of an array, where it stands and where it is consolidated."""

    def damage(store: Path) -> None:
        edit(store / array / "zarr.json", lambda own: own.update({key: value}))

        def consolidated(root: dict) -> None:
            root["consolidated_metadata"]["metadata"][array][key] = value

        edit(store / "zarr.json", consolidated)

    return damage


def attribute(key: str, value: object) -> Damage:
    """Changes an attribute, and signs what changed as its author would."""

    def damage(store: Path) -> None:
        edit(store / "zarr.json", lambda root: root["attributes"].update({key: value}))
        sign(store)

    return damage


def variable(array: str, key: str, value: object) -> Damage:
    """Changes an attribute of a variable, and signs it."""

    def damage(store: Path) -> None:
        own = json.loads((store / array / "zarr.json").read_text())["attributes"]
        put(array, "attributes", {**own, key: value})(store)
        sign(store)

    return damage


def sign(store: Path) -> None:
    """Gives a changed store of trajectories the checksum of its new content."""
    schema = json.loads((store / "zarr.json").read_text())["attributes"]["schema"]
    if "trajectories" in schema:
        digest = whole_hash(GuardedStore(store))
        edit(
            store / "zarr.json",
            lambda root: root["attributes"].update(described(digest)),
        )


def spec(changes: dict) -> Damage:
    """Changes the spec of an operator, whose checksum is then right."""

    def damage(store: Path) -> None:
        stored = read_operator(store)
        changed = type(stored)(
            {**stored.spec, **changes}, stored.arrays, attributes=stored.attributes
        )
        shutil.rmtree(store)
        write_operator(changed, store)

    return damage


def first_file(store: Path, array: str) -> Path:
    return sorted(path for path in (store / array / "c").rglob("*") if path.is_file())[
        0
    ]


def content(array: str, change: Callable[[bytes], bytes]) -> Damage:
    """Changes the content of the first file of an array."""

    def damage(store: Path) -> None:
        file = first_file(store, array)
        file.write_bytes(change(file.read_bytes()))

    return damage


def instead(array: str, make: Callable[[Path], object]) -> Damage:
    """Puts something else in the place of a file: of an array, or of all metadata."""

    def damage(store: Path) -> None:
        file = first_file(store, array) if array else store / "zarr.json"
        file.unlink()
        make(file)

    return damage


def pinned(array: str, change: Callable[[bytes], bytes]) -> Damage:
    """As `content`, with the checksums of the store made to fit."""

    def damage(store: Path) -> None:
        content(array, change)(store)
        group = zarr.open_group(store, mode="r+", use_consolidated=False)
        names = list(group["block_checksum"].attrs["variables"])
        digest = hashlib.sha256(first_file(store, array).read_bytes()).digest()
        group["block_checksum"][0, names.index(array)] = np.frombuffer(digest, "u1")
        sign(store)

    return damage


def shard(*entries: tuple[int, int], data: bytes = b"") -> bytes:
    """A file of chunks with an index of one's own."""
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    return data + index + struct.pack("<I", checksum(index))


def bomb(size: int) -> bytes:
    """Zeros, compressed."""
    return Zstd(level=19).encode(np.zeros(size, dtype=np.uint8))


def undeclared(size: int) -> bytes:
    """A frame that does not say how long its content is."""
    block = struct.pack("<I", (size << 3) | (1 << 1) | 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd" + bytes([0, 0x58]) + block


def sparse(path: Path) -> None:
    """A file that is long and takes no space."""
    with path.open("wb") as file:
        file.truncate(2**33)


PLACES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a link to zeros": lambda path: path.symlink_to("/dev/zero"),
    "a link out of the store": lambda path: path.symlink_to("/etc/passwd"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a folder": Path.mkdir,
    "a long file": sparse,
    "an empty file": Path.touch,
}
TEXTS: dict[str, bytes] = {
    "no JSON": b"{",
    "a list": b"[]",
    "a number": b"1" * 10**5,
    "no text": b"\xff\xfe\x00",
    "nesting": b'{"a":' * 10**5,
    "nothing": b"{}",
}
CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 64,
    "zeros": bytes(4096),
    "a bomb": bomb(2**24),
    "a bomb that hides": undeclared(2**17),
    "an index out of the file": shard((2**40, 10)),
    "an index of a bomb": shard((0, len(bomb(2**24))), data=bomb(2**24)),
    "an index that overflows": shard((2**63, 2**63 + 10)),
}


def harms() -> Iterator[tuple[str, str, Damage]]:
    """Every harm: kind of the store, words, and what does it."""
    for kind, array in ARRAYS.items():
        for key, values in METADATA.items():
            for number, value in enumerate(values):
                # The shapes of the others would be right for this one.
                if not (key == "shape" and value == [] and kind == "scalar"):
                    yield kind, f"{key} {number}", put(array, key, value)
        for words, make in PLACES.items():
            yield kind, f"{words} for values", instead(array, make)
            yield kind, f"{words} for metadata", instead("", make)
        for words, text in TEXTS.items():
            yield (
                kind,
                f"metadata of {words}",
                instead("", lambda path, text=text: path.write_bytes(text)),
            )
        for words, data in CONTENTS.items():
            yield kind, f"values of {words}", content(array, lambda _, data=data: data)
        for key, values in ATTRIBUTES[kind].items():
            for number, value in enumerate(values):
                if not isinstance(value, type):
                    yield kind, f"attribute {key} {number}", attribute(key, value)
        yield (
            kind,
            "no consolidated metadata",
            lambda store: edit(
                store / "zarr.json",
                lambda root: root.pop("consolidated_metadata") and None,
            ),
        )
        for name in ("../outside", "/etc", "a/b/c/d/e", "\x1b[2J", "..", "x" * 500):
            yield kind, f"the name {name[:12]!r}", renamed(array, name)
        yield kind, "a million arrays", many_arrays(array)
    for words, data in CONTENTS.items():
        yield (
            "trajectories",
            f"signed values of {words}",
            pinned("u", lambda _, data=data: data),
        )
    for key, array, values in (
        ("averages", "u", ["no", 2, -1, None, True, 0.0, [1]]),
        ("period", "x", [-1, 0, "1", float("nan"), float("inf"), None, True, 1e-3]),
    ):
        for number, value in enumerate(values):
            yield "trajectories", f"{key} {number}", variable(array, key, value)
    for words, changes in SPECS.items():
        yield "operator", words, spec(changes)


def renamed(array: str, name: str) -> Damage:
    def change(root: dict) -> None:
        inner = root["consolidated_metadata"]["metadata"]
        inner[name] = inner.pop(array)

    return lambda store: edit(store / "zarr.json", change)


def many_arrays(array: str) -> Damage:
    def change(root: dict) -> None:
        inner = root["consolidated_metadata"]["metadata"]
        inner.update({f"a{number}": inner[array] for number in range(3000)})

    return lambda store: edit(store / "zarr.json", change)


def attempt(reader: Callable[[Path], object], path: Path) -> str:
    """The sentence that reading a store ends with; says so if there is none."""
    try:
        reader(path)
    except Exception as error:
        return in_words(error) or f"Traceback: {error!r}"
    return "Accepted"


def refused(sentence: str) -> bool:
    return not sentence.startswith(("Accepted", "Traceback", "Not enough memory"))


def main() -> None:
    folder = Path(sys.argv[1])
    stores = good(folder)
    for kind, store in stores.items():
        READERS[kind](store)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"hostile": 0, "refused": 0, "megabytes": 0.0, "seconds": 0.0}
    failures = []
    for number, (kind, words, damage) in zip(itertools.count(), harms(), strict=False):
        bad = folder / f"{number}.zarr"
        shutil.copytree(stores[kind], bad)
        damage(bad)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            begin = time.process_time()
            sentence = attempt(READERS[kind], bad)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            answer = [sentence, (peak - base) / 1024, time.process_time() - begin]
            os.write(writing, json.dumps(answer).encode()[:60000])
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read()
        sentence, megabytes, seconds = json.loads(text) if text else ("Accepted", 0, 0)
        found["hostile"] += 1
        found["refused"] += refused(sentence)
        found["megabytes"] = max(found["megabytes"], megabytes)
        found["seconds"] = max(found["seconds"], seconds)
        if not refused(sentence):
            failures.append([kind, words, sentence[:200]])
        shutil.rmtree(bad)
    print(json.dumps({**found, "failures": failures}))


if __name__ == "__main__":
    main()
