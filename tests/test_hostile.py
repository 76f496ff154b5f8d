"""Stores that somebody made to do harm, and the words on what goes wrong."""

import errno
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from numcodecs.zstd import Zstd
from rich.console import Console

from stencilnet import read_trajectories, write_trajectories
from stencilnet.errors import in_words, shown
from stencilnet.report import trajectories_table
from stencilnet.storage import (
    git,
    new_store,
    open_trajectories,
    operators,
    read_dataset,
    read_operator,
    write_operator,
)
from stencilnet.storage.codecs import COMPRESSOR, consolidate
from stencilnet.storage.guard import GuardedStore
from stencilnet.storage.metadata import frame_size
from stencilnet.storage.provenance import content_hash, contents
from stencilnet.study.yaml_text import parse_yaml

# One in three; the benchmark of storage reads them all.
HARMS = list(hostile.harms())[::3]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return hostile.good(tmp_path_factory.mktemp("good"))


def test_there_are_many_kinds_of_harm():
    assert len(HARMS) >= 120


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: f"{harm[0]} {harm[1]}")
def test_a_hostile_store_is_refused_in_a_sentence(stores, tmp_path, harm):
    kind, _, damage = harm
    bad = tmp_path / "bad.zarr"
    shutil.copytree(stores[kind], bad)
    damage(bad)
    sentence = hostile.attempt(hostile.READERS[kind], bad)
    assert hostile.refused(sentence), sentence


def test_good_stores_are_read(stores):
    for kind, path in stores.items():
        assert hostile.READERS[kind](path) is not None


@pytest.mark.parametrize("kind", ["trajectories", "operator", "dataset"])
def test_a_bit_that_flips_anywhere_is_found_or_changes_nothing(stores, tmp_path, kind):
    read = {"operator": read_operator}.get(kind, hostile.READERS[kind])
    whole = read(stores[kind])
    draws = np.random.default_rng(0)
    files = [path for path in stores[kind].rglob("*") if path.is_file()]
    found = 0
    for number in range(40):
        bad = tmp_path / f"{number}.zarr"
        shutil.copytree(stores[kind], bad)
        file = bad / files[draws.integers(len(files))].relative_to(stores[kind])
        content = bytearray(file.read_bytes())
        content[draws.integers(len(content))] ^= 1 << draws.integers(8)
        file.write_bytes(bytes(content))
        try:
            again = read(bad)
        except (ValueError, FileNotFoundError):
            found += 1
            continue
        if isinstance(whole, xr.Dataset):
            xr.testing.assert_identical(again.drop_attrs(), whole.drop_attrs())
        else:
            assert again.spec == whole.spec
            for name, values in whole.arrays.items():
                assert again.arrays[name].tobytes() == values.tobytes()
    assert found > 20


def test_many_arrays_declare_no_more_than_one(stores, tmp_path):
    """Each may be small and hold nothing; together they may not fill a machine."""
    path = tmp_path / "a.zarr"
    shutil.copytree(stores["trajectories"], path)
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for number in range(3):
        settings = {"shape": (3 * 2**26,), "chunks": (2**17,), "dtype": "uint8"}
        group.create_array(f"a{number}", compressors=COMPRESSOR, **settings)
        consolidate(path)
        if number < 2:
            GuardedStore(path)
    with pytest.raises(ValueError, match=r"declares 6e\+08 bytes"):
        GuardedStore(path)


def test_a_large_store_is_opened_without_reading_it(stores, tmp_path):
    path = tmp_path / "a.zarr"
    dataset = read_trajectories(stores["trajectories"])
    write_trajectories(dataset, path)
    shutil.rmtree(path / "u" / "c")
    (path / "u" / "c" / "0" / "0").mkdir(parents=True)
    (path / "u" / "c" / "0" / "0" / "0").write_bytes(b"damaged")
    with open_trajectories(path) as opened:
        np.testing.assert_array_equal(opened["x"], dataset["x"])
        with pytest.raises(ValueError, match="u/c/0/0/0 in it does not match"):
            opened["u"].load()


def test_a_store_that_is_replaced_while_it_is_read_is_not_mixed(stores, tmp_path):
    path = tmp_path / "a.zarr"
    dataset = read_trajectories(stores["trajectories"])
    write_trajectories(dataset, path)
    other = dataset.copy(deep=True)
    other["u"].values[:] *= 2
    with open_trajectories(path) as opened:
        write_trajectories(other, path, overwrite=True)
        with pytest.raises(ValueError, match="replaced while it was read"):
            opened["u"].load()
    np.testing.assert_array_equal(read_trajectories(path)["u"], 2 * dataset["u"])


def test_older_trajectories_are_still_read(stores, tmp_path):
    dataset = read_trajectories(stores["trajectories"])
    path = tmp_path / "old.zarr"
    attributes = {
        key: value
        for key, value in dataset.attrs.items()
        if key not in ("origin", "content_hash")
    }
    old = dataset.assign_attrs(schema="stencilnet.trajectories/2")
    old.attrs = {**attributes, "schema": "stencilnet.trajectories/2"}
    encoding = {name: {"compressors": (COMPRESSOR,)} for name in old.variables}
    old.to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)
    with xr.open_zarr(path, consolidated=False, chunks=None) as written:
        digest = content_hash(*contents(written))
    zarr.open_group(path, mode="r+").attrs["content_hash"] = digest
    consolidate(path)
    np.testing.assert_array_equal(read_trajectories(path)["u"], dataset["u"])
    zarr.open_group(path)["u"][0, 0, 0] = 7.0
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_trajectories(path)


def test_a_certificate_belongs_to_the_weights_beside_it(stores, tmp_path):
    certificate = xr.Dataset({"step": 0.1})
    stored = replace(read_operator(stores["operator"]), certificate=certificate)
    path = write_operator(stored, tmp_path / "a.zarr")
    named = read_operator(path).certificate.attrs["operator_hash"]
    assert len(named) == 64
    hashed = operators.operator_hash
    operators.operator_hash = lambda *_: "0" * 64
    try:
        write_operator(stored, path, overwrite=True)
    finally:
        operators.operator_hash = hashed
    with pytest.raises(ValueError, match="of another operator than the one in it"):
        read_operator(path)


def test_weights_that_are_nan_are_refused(stores, tmp_path):
    stored = read_operator(stores["operator"])
    name, values = next(iter(stored.arrays.items()))
    arrays = {**stored.arrays, name: np.full_like(values, np.nan)}
    path = write_operator(replace(stored, arrays=arrays), tmp_path / "a.zarr")
    with pytest.raises(ValueError, match=f"{name} are NaN or infinite"):
        read_operator(path)


def test_who_wrote_a_store_and_when_cannot_be_changed_unseen(stores, tmp_path):
    path = tmp_path / "a.zarr"
    for kind, reader in hostile.READERS.items():
        shutil.copytree(stores[kind], path)
        zarr.open_group(path).attrs["git_commit"] = "another"
        with pytest.raises(ValueError, match="versions, commit or date"):
            reader(path)
        shutil.rmtree(path)


def test_frames_tell_the_size_of_their_content():
    for size in (1, 255, 256, 1000, 65_791, 65_792, 10**6):
        assert frame_size(Zstd(level=3).encode(bytes(size))) == size
    assert frame_size(b"") is None
    assert frame_size(hostile.undeclared(100)) is None


LACKS = [
    lambda: torch.zeros(10**15),
    lambda: torch.zeros(10**10, 10**10),
    lambda: np.zeros(10**15),
    lambda: np.zeros((10**10, 10**10)),
    lambda: np.empty(10**30),
    lambda: [0] * 10**15,
    lambda: bytearray(10**15),
    lambda: torch.arange(10**14),
]


@pytest.mark.parametrize("lack", LACKS)
def test_a_lack_of_memory_is_told_by_what_it_is(lack):
    with pytest.raises((MemoryError, RuntimeError, ValueError)) as caught:
        lack()
    assert in_words(caught.value).startswith("Not enough memory")


def test_a_full_disk_is_told_with_the_place_and_the_remedy(tmp_path):
    path = tmp_path / "a.json"
    with (
        pytest.raises(OSError, match="No space left") as caught,
        new_store(path, kind="result"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x" * 10**6)
    sentence = in_words(caught.value)
    assert f"{path} was not written" in sentence
    assert "make space and repeat" in sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "no permission"), (errno.EIO, "copy what can still be read")],
)
def test_what_the_system_refuses_is_not_called_damaged(
    stores, monkeypatch, number, words
):
    opened = os.open

    def refuses(path, *arguments, **settings):
        if "/u/c/" in str(path):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        read_trajectories(stores["trajectories"])
    sentence = in_words(caught.value)
    assert words in sentence
    assert "make it again" not in sentence
    assert "trajectories.zarr/u/c" in sentence


def test_what_a_store_says_is_shown_without_effect():
    assert shown("\x1b[31mred\x07 \u202e") == "\\x1b[31mred\\x07 \\u202e"
    dataset = xr.Dataset(
        {"u": (("sample", "time", "x"), np.zeros((1, 1, 2)), {"averages": 1})},
        coords={"time": [0.0], "x": ("x", [0.0, 1.0], {"period": 2.0})},
        attrs={"[red]a": "\x1b[2J[link=http://a]b[/link]"},
    )
    console = Console(width=80, force_terminal=True, no_color=True)
    with console.capture() as captured:
        console.print(trajectories_table(dataset))
    text = captured.get()
    assert "\\x1b[2J[link=http://a]b[/link]" in text
    assert "[red]a" in text


BAD_YAML = {
    "a: 1\na: 2\n": "'a' stands twice, the second time in line 2",
    "a: {b: 1, b: 2}": "'b' stands twice",
    "[" * 3000 + "]" * 3000: "nested more than",
    "&x {a: *x}": "holds itself",
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
        for before, after in zip("abcdefgh", "bcdefghi", strict=True)
    ): "values, aliases written out",
    "- !!python/object:os.system x": "not valid YAML in line 1",
    "a: \x00": "not valid YAML",
    "a" * (2**20 + 1): "is longer than",
}


@pytest.mark.parametrize("text", BAD_YAML, ids=BAD_YAML.values())
def test_yaml_that_is_no_config_is_refused_by_name(text):
    with pytest.raises(ValueError, match=BAD_YAML[text]):
        parse_yaml(text)
    assert parse_yaml("a: &b [1]\nc: *b") == {"a": [1], "c": [1]}


def test_git_tells_a_changed_tree_and_runs_nothing_of_it(tmp_path, monkeypatch):
    def run(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    run("init", "-q")
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / ".gitattributes").write_text("*.txt filter=evil\n")
    run("add", ".")
    run("commit", "-q", "-m", "first")
    trap = tmp_path / "ran"
    run("config", "core.fsmonitor", f"touch {trap}")
    run("config", "filter.evil.clean", f"touch {trap}; cat")
    run("config", "filter.evil.required", "true")
    monkeypatch.chdir(tmp_path)
    git._git_commit.cache_clear()
    commit = git.git_commit()
    assert len(commit) == 40
    (tmp_path / "a.txt").write_text("two")
    git._git_commit.cache_clear()
    assert git.git_commit() == f"{commit}-dirty"
    assert not trap.exists()
    monkeypatch.setattr(git, "_SECONDS", 0.0)
    git._git_commit.cache_clear()
    assert git.git_commit() == ""
    git._git_commit.cache_clear()


def test_a_dataset_has_a_checksum(stores, tmp_path):
    path = tmp_path / "a.zarr"
    shutil.copytree(stores["dataset"], path)
    zarr.open_group(path)["a"][0] = 5.0
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_dataset(path)
