import dataclasses
import json
import os
import shutil
import signal
import threading
import time
import warnings

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from helpers import randomize

from stencilnet import (
    MLP,
    Burgers,
    Convex,
    Grid,
    LearnedStencil,
    NullSpace,
    RandomForcing,
    load_operator,
    read_trajectories,
    save_operator,
    write_trajectories,
)
from stencilnet.report import write_json
from stencilnet.stencils import Bounds, Soft
from stencilnet.storage import (
    BlockWriter,
    StoredOperator,
    forcing_of,
    grid_of,
    new_store,
    open_trajectories,
    read_dataset,
    read_operator,
    trajectories,
    write_dataset,
    write_in_blocks,
    write_operator,
)


@pytest.fixture
def dataset():
    u = torch.randn(3, 4, 8, dtype=torch.float64)
    times = torch.arange(4, dtype=torch.float64)
    forcing = RandomForcing.sample(3, seed=1)
    return trajectories(
        u, times, Grid.line(8, 3.0), forcing, averages=True, attributes={"seed": 1}
    )


@pytest.fixture
def operator():
    generator = np.random.default_rng(0)
    arrays = {
        "network.0.weight": generator.standard_normal((5, 4)).astype(np.float32),
        "network.0.bias": generator.standard_normal(5),
        "step": np.asarray(7.0),
        "empty": np.zeros((0, 3)),
    }
    return StoredOperator(
        {"width": 6, "hidden": [8]},
        arrays,
        {"loss": np.array([1.0, np.nan])},
        {"config": "{}", "error": 0.1 + 0.2},
    )


def test_trajectories_come_back_bit_for_bit(dataset, tmp_path):
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    again = read_trajectories(path)
    for name in dataset.variables:
        assert np.array_equal(again[name].values, dataset[name].values)
        assert again[name].dtype == dataset[name].dtype
        assert again[name].attrs == dataset[name].attrs
    assert grid_of(again) == Grid.line(8, 3.0)
    assert torch.equal(forcing_of(again).phase, forcing_of(dataset).phase)
    assert again.attrs["seed"] == 1


def test_an_operator_that_was_read_can_be_written_again(operator, tmp_path):
    read = read_operator(write_operator(operator, tmp_path / "a.zarr"))
    again = read_operator(write_operator(read, tmp_path / "b.zarr"))
    assert again.spec == read.spec
    assert again.attributes["error"] == read.attributes["error"]


def test_a_changed_meaning_is_noticed(dataset, tmp_path):
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    zarr.open_group(path)["u"].attrs["averages"] = 0
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_trajectories(path)


def test_stores_are_of_format_3_with_checksums(dataset, tmp_path):
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == 3
    for _, array in group.arrays():
        (codec,) = array.compressors
        assert codec.to_dict()["configuration"]["checksum"]


def test_operators_come_back_bit_for_bit(operator, tmp_path):
    again = read_operator(write_operator(operator, tmp_path / "o.zarr"))
    assert again.spec == operator.spec
    for name, values in operator.arrays.items():
        assert again.arrays[name].dtype == values.dtype
        assert again.arrays[name].tobytes() == values.tobytes()
    np.testing.assert_array_equal(again.history["loss"], operator.history["loss"])
    assert again.attributes["error"] == 0.1 + 0.2


def test_stores_hold_no_pickle(operator, tmp_path):
    path = write_operator(operator, tmp_path / "o.zarr")
    names = {file.name for file in path.rglob("*") if file.is_file()}
    assert not any(name.endswith((".pt", ".pkl", ".npy")) for name in names)
    metadata = json.loads((path / "zarr.json").read_text())
    assert json.loads(metadata["attributes"]["spec"]) == operator.spec


def test_nothing_is_overwritten_unasked(dataset, operator, tmp_path):
    for write, content in (
        (write_trajectories, dataset),
        (write_operator, operator),
    ):
        path = tmp_path / f"{write.__name__}.zarr"
        write(content, path)
        with pytest.raises(FileExistsError, match="replace it with --overwrite"):
            write(content, path)
        write(content, path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "a"
    with (
        pytest.raises(RuntimeError, match="half-way"),
        new_store(path, kind="report") as partial,
    ):
        partial.mkdir()
        (partial / "half").write_text("half")
        raise RuntimeError("half-way")
    assert not list(tmp_path.iterdir())


def test_a_writer_that_fails_keeps_what_was_there(tmp_path):
    path = write_json({"a": 1}, tmp_path / "a.json")
    old = path.read_text()
    with (
        pytest.raises(RuntimeError),
        new_store(path, kind="result", overwrite=True) as partial,
    ):
        partial.write_text("new")
        raise RuntimeError("half-way")
    assert path.read_text() == old


def test_what_is_no_result_is_not_replaced(dataset, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "notes.txt").write_text("years of work")
    (folder / "table.csv").write_text("its numbers")
    text = tmp_path / "notes.txt"
    text.write_text("more of it")
    for path in (folder, text):
        with pytest.raises(FileExistsError, match="no result of stencilnet"):
            write_trajectories(dataset, path, overwrite=True)
    assert (folder / "notes.txt").read_text() == "years of work"
    assert text.read_text() == "more of it"
    store = write_trajectories(dataset, tmp_path / "a.zarr")
    assert write_trajectories(dataset, store, overwrite=True) == store


def test_what_is_missing_or_strange_is_told(dataset, operator, tmp_path):
    with pytest.raises(FileNotFoundError, match="make it first"):
        read_trajectories(tmp_path / "nowhere.zarr")
    (tmp_path / "file").write_text("no store")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(ValueError, match="not a readable zarr store"):
            read_trajectories(tmp_path / name)
    kept = write_trajectories(dataset, tmp_path / "a.zarr")
    learned = write_operator(operator, tmp_path / "o.zarr")
    with pytest.raises(ValueError, match=r"has the schema 'stencilnet\.operator/3'"):
        read_trajectories(learned)
    with pytest.raises(
        ValueError, match=r"has the schema 'stencilnet\.trajectories/3'"
    ):
        read_operator(kept)


@pytest.mark.parametrize("name", ["u", "time", "forcing_phase"])
def test_a_store_with_a_missing_part_is_half_written(dataset, tmp_path, name):
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    shutil.rmtree(path / name / "c")
    with pytest.raises(ValueError, match="damaged or half-written"):
        read_trajectories(path)
    shutil.rmtree(path / name)
    with pytest.raises(ValueError, match="damaged or half-written"):
        read_trajectories(path)


def test_a_flipped_bit_is_noticed(dataset, operator, tmp_path):
    for path, read, name in (
        (write_trajectories(dataset, tmp_path / "a.zarr"), read_trajectories, "u"),
        (
            write_operator(operator, tmp_path / "o.zarr"),
            read_operator,
            "arrays/network.0.bias",
        ),
    ):
        chunk = next(file for file in (path / name / "c").rglob("*") if file.is_file())
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 1
        chunk.write_bytes(bytes(content))
        with pytest.raises(ValueError, match="damaged or half-written"):
            read(path)


def test_changed_attributes_are_noticed(operator, tmp_path):
    path = write_operator(operator, tmp_path / "o.zarr")
    zarr.open_group(path).attrs["spec"] = json.dumps({"width": 8})
    with pytest.raises(ValueError, match="does not match its checksum"):
        read_operator(path)


def test_nan_in_a_store_is_located(dataset, tmp_path):
    dataset["u"].values[1, 2, 5] = np.nan
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    with pytest.raises(
        ValueError, match="1 values .* sample 1 at time 2, cell 5: remove"
    ):
        read_trajectories(path)
    assert np.isnan(read_trajectories(path, finite=False)["u"].values[1, 2, 5])


def test_sizes_that_do_not_fit_are_refused():
    forcing = RandomForcing.sample(2, seed=1)
    u = torch.zeros(3, 4, 8)
    with pytest.raises(ValueError, match="one forcing row per sample"):
        trajectories(u, torch.arange(4.0), Grid.line(8), forcing, averages=True)


def test_a_spec_of_objects_is_refused(tmp_path):
    with pytest.raises(ValueError, match="plain values"):
        write_operator(StoredOperator({"grid": Grid.line(3)}, {}), tmp_path / "o.zarr")
    assert not list(tmp_path.iterdir())


def spec_types(path):
    """Data types and codecs in all metadata of a store."""
    found = set()
    for file in path.rglob("zarr.json"):
        metadata = json.loads(file.read_text())
        if metadata["node_type"] == "array":
            kind = metadata["data_type"]
            found.add(kind if isinstance(kind, str) else kind["name"])
            found |= {codec["name"] for codec in metadata["codecs"]}
    return found


# Data types of the specification of zarr 3, and codecs that other clients have.
FOREIGN = {"bool", "uint8", "int8", "int32", "int64", "float32", "float64"} | {
    "bytes",
    "sharding_indexed",
    "zstd",
}


@pytest.fixture
def labelled():
    """A dataset like a comparison or a certificate, with labels along an axis."""
    return xr.Dataset(
        {
            "error": (("scheme", "x"), np.arange(6.0).reshape(3, 2)),
            "setting": ("scheme", ["a b", "", "a b"]),
            "bad": ("scheme", np.array([True, False, True])),
        },
        coords={
            "scheme": np.array(["weno_z", "ü", "u_x"], dtype=np.dtypes.StringDType())
        },
        attrs={"points": 2},
    )


def test_every_store_opens_with_plain_xarray(dataset, operator, labelled, tmp_path):
    kept = write_trajectories(dataset, tmp_path / "a.zarr")
    certified = dataclasses.replace(operator, certificate=labelled)
    learned = write_operator(certified, tmp_path / "o.zarr")
    other = tmp_path / "c.zarr"
    write_dataset(labelled, other)
    # Warnings are errors.
    assert xr.open_zarr(kept)["u"].shape == (3, 4, 8)
    assert xr.open_datatree(kept, engine="zarr")["u"].dims == ("sample", "time", "x")
    assert xr.open_zarr(other)["error"].shape == (3, 2)
    tree = xr.open_datatree(learned, engine="zarr")
    assert set(tree.groups) == {"/", "/arrays", "/history", "/certificate"}
    for group in ("arrays", "history", "certificate"):
        opened = xr.open_zarr(learned, group=group)
        assert set(opened.variables) == set(tree[group].variables)
    assert tree["arrays/network.0.weight"].dims == ("network.0.out", "network.0.in")
    assert tree["arrays/network.0.bias"].dims == ("network.0.out",)
    assert tree["history/loss"].dims == ("update",)
    for path in (kept, learned, other):
        assert spec_types(path) <= FOREIGN


@pytest.mark.parametrize("kind", ["U", "T", "O", "S"])
def test_labels_come_back(labelled, tmp_path, kind):
    if kind == "S":
        values = np.array([b"weno_z", b"u", b"u_x"])
    else:
        types = {"U": np.str_, "O": object, "T": np.dtypes.StringDType()}
        values = np.array(labelled["scheme"].values.tolist(), dtype=types[kind])
    labelled = labelled.assign_coords(scheme=values)
    path = tmp_path / "c.zarr"
    write_dataset(labelled, path)
    again = read_dataset(path)
    for name in ("scheme", "setting"):
        expected = [
            text.decode() if isinstance(text, bytes) else text
            for text in labelled[name].values.tolist()
        ]
        assert again[name].values.tolist() == expected
        assert again[name].attrs == {}
    assert again.sel(scheme="u_x")["error"].values.tolist() == [4.0, 5.0]
    flags = xr.open_zarr(path)["setting"].attrs
    assert flags["labels"] == ["a b", ""]
    assert flags["flag_values"] == [0, 1]
    assert flags["flag_meanings"].split(" ") == ["a_b", ""]


def test_labels_of_trajectories_come_back(dataset, tmp_path):
    named = dataset.assign_coords(sample=["a", "b", "c"])
    path = write_trajectories(named, tmp_path / "a.zarr")
    assert read_trajectories(path)["sample"].values.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="labels 'sample' run over samples"):
        write_in_blocks(
            lambda rows: named.isel(sample=rows),
            tmp_path / "b.zarr",
            samples=3,
            block=2,
        )


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_writer_that_is_stopped_goes_on_after_its_last_block(
    dataset, tmp_path, moment
):
    made = []

    def make(rows):
        made.append(rows.start)
        if len(made) == moment + 1:
            raise KeyboardInterrupt
        return dataset.isel(sample=rows)

    settings = {"samples": 3, "block": 1, "identity": "a"}
    path = tmp_path / "a.zarr"
    if moment < 3:
        with pytest.raises(KeyboardInterrupt):
            write_in_blocks(make, path, **settings)
        assert not path.exists()
        begun = len(made)
        write_in_blocks(make, path, **settings)
        # The first serves as the pattern; the last whole ones are not made again.
        assert made[begun:] == [0, *range(moment, 3)]
    else:
        write_in_blocks(make, path, **settings)
    assert list(tmp_path.iterdir()) == [path]
    whole = write_in_blocks(
        lambda rows: dataset.isel(sample=rows),
        tmp_path / "b.zarr",
        samples=3,
        block=1,
    )
    one, other = read_trajectories(path), read_trajectories(whole)
    assert one.attrs["content_hash"] == other.attrs["content_hash"]


def test_what_another_work_left_is_not_resumed(dataset, tmp_path):
    other = dataset.copy(deep=True)
    other["u"].values[:] *= 2

    def stopped(rows):
        if rows.start:
            raise KeyboardInterrupt
        return other.isel(sample=rows)

    path = tmp_path / "a.zarr"
    with pytest.raises(KeyboardInterrupt):
        write_in_blocks(stopped, path, samples=3, block=1, identity="other")
    write_in_blocks(
        lambda rows: dataset.isel(sample=rows), path, samples=3, block=1, identity="a"
    )
    assert np.array_equal(read_trajectories(path)["u"], dataset["u"])
    assert list(tmp_path.iterdir()) == [path]


def test_axes_of_one_name_have_one_size(tmp_path):
    stored = StoredOperator(
        {},
        {
            "a.weight": np.zeros((3, 2)),
            "a.bias": np.zeros(4),
            "b.weight": np.zeros(5),
            "mu": np.zeros(()),
            "adam.0.exp_avg": np.zeros((3, 2)),
        },
        {"loss": np.zeros(4), "rate": np.zeros(3), "validation_error": np.zeros(2)},
    )
    path = write_operator(stored, tmp_path / "o.zarr")
    arrays = xr.open_zarr(path, group="arrays")
    assert {name: arrays[name].dims for name in arrays} == {
        "a.weight": ("a.out", "a.in"),
        "a.bias": ("a.bias.axis_0",),
        "b.weight": ("b.weight.axis_0",),
        "mu": (),
        "adam.0.exp_avg": ("adam.0.exp_avg.axis_0", "adam.0.exp_avg.axis_1"),
    }
    history = xr.open_zarr(path, group="history")
    assert {name: history[name].dims for name in history} == {
        "loss": ("update",),
        "rate": ("rate.axis_0",),
        "validation_error": ("validation",),
    }


def test_a_store_that_another_program_appended_to_is_told_apart(dataset, tmp_path):
    path = write_trajectories(dataset, tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xarray tells of consolidated metadata.
        dataset.to_zarr(path, append_dim="sample", mode="a")
    with pytest.raises(
        ValueError, match="was changed after it was written, .* write it anew with"
    ):
        read_trajectories(path)
    # The remedy that the message names.
    again = write_trajectories(xr.open_zarr(path), path, overwrite=True)
    assert read_trajectories(again).sizes["sample"] == 6
    assert xr.open_zarr(path).sizes["sample"] == 6


def test_a_forcing_of_reversed_trajectories_is_read(dataset):
    reverse = dataset.isel(sample=slice(None, None, -1), time=slice(None, None, -1))
    assert torch.equal(forcing_of(reverse).phase, forcing_of(dataset).phase.flip(0))


class OwnBurgers(Burgers):
    """An equation that only the caller knows."""


def learned(**settings):
    return LearnedStencil(Burgers(0.1), Grid.line(16), network=MLP(4), **settings)


def with_network(operator, network):
    operator.network = network
    return operator


def with_setting(operator, **settings):
    vars(operator).update(settings)
    return operator


def plain_network():
    return torch.nn.Sequential(torch.nn.Linear(6, 9)).double()


LOADABLE = {
    "own network": (with_network(learned(), plain_network()), {}),
    "other perceptron": (with_network(learned(), MLP(3).build(6, 9, seed=1)), {}),
    "own equation": (
        LearnedStencil(OwnBurgers(0.1), Grid.line(16), network=MLP(4)),
        {"extensions": [OwnBurgers]},
    ),
    "side conditions": (learned(constraint=Convex(side_conditions=[Bounds(-2.0)])), {}),
    "learned weight": (learned(constraint=Soft(learn_mu=True)).float(), {}),
    "other scale": (with_setting(learned(), scale=3.0), {}),
}


@pytest.mark.parametrize("case", LOADABLE)
def test_an_operator_that_is_saved_can_be_loaded(case, tmp_path):
    operator, arguments = LOADABLE[case]
    randomize(operator.network, scale=0.1)
    path = save_operator(operator, tmp_path / "o.zarr")
    if case == "own network":
        arguments = {"network": plain_network()}
    loaded, _ = load_operator(path, **arguments)
    u = Grid.line(16).points().sin().to(operator.dtype)
    assert torch.equal(loaded(u), operator(u))


REFUSED = {
    "too few outputs": with_network(learned(), MLP(3).build(6, 8, seed=1)),
    "too few inputs": with_network(learned(), MLP(3).build(5, 9, seed=1)),
    "half precision": learned().half(),
    "bfloat16": learned().bfloat16(),
    "no weights": with_network(learned(), torch.nn.Identity()),
    "another width": with_setting(learned(), width=8),
    "a negative scale": with_setting(learned(), scale=-1.0),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_operator_that_could_not_be_loaded_is_not_saved(case, tmp_path):
    with pytest.raises(ValueError, match="build it anew|Build it anew"):
        save_operator(REFUSED[case], tmp_path / "o.zarr")
    assert not list(tmp_path.iterdir())


def test_a_replaced_layer_is_not_saved_as_the_old_one(tmp_path):
    operator = learned()
    randomize(operator.network)
    offsets = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    layer = NullSpace(1).layer(offsets, 0, averages=True)
    layer.limit = 0.5
    operator.layers["u"] = layer
    with pytest.raises(ValueError, match="not the one that its settings describe"):
        save_operator(operator, tmp_path / "o.zarr")


def test_a_replaced_activation_is_not_saved_as_the_old_one(tmp_path):
    """Before a training too, when the last layer of zeros hides it."""
    operator = learned()
    save_operator(operator, tmp_path / "as-it-is.zarr")
    operator.network[1] = torch.nn.ReLU()
    with pytest.raises(ValueError, match="not the one that its settings describe"):
        save_operator(operator, tmp_path / "o.zarr")


def test_steady_solutions_are_stored_though_they_take_a_thousandth_of_their_size(
    tmp_path,
):
    """Not taken for a store that would fill the memory of who reads it."""
    u = torch.randn(256, 1, 512).expand(256, 401, 512)
    dataset = trajectories(u, torch.linspace(0, 40, 401), period=1.0)
    path = write_trajectories(dataset, tmp_path / "steady.zarr")
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert u.numel() * 4 > max(2**27, 200 * size)
    again = read_trajectories(path)
    np.testing.assert_array_equal(again["u"][-1, -1], u[-1, -1])


@pytest.mark.parametrize("shape", [(1, 70000, 512), (280, 1001, 512)], ids=str)
def test_solutions_at_rest_are_stored_whatever_their_size(shape, tmp_path):
    """Not compressed: what shrinks by tens of thousands is refused by who reads it."""
    u, times = torch.zeros(shape), torch.arange(shape[1]).double()
    dataset = trajectories(u, times, period=1.0)
    path = write_trajectories(dataset, tmp_path / "rest.zarr")
    with open_trajectories(path) as again:
        assert float(abs(again["u"][-1, -3:]).max()) == 0


def test_no_thread_writes_after_a_second_signal(tmp_path, monkeypatch):
    """Ctrl-C, and Ctrl-C again while the threads that write are waited for."""
    dataset = trajectories(np.ones((6, 2, 4)), np.arange(2.0), period=1.0)
    ended, write, twice = [], BlockWriter.write, threading.Event()

    def slowly(self, number, block):
        assert not number or twice.wait(60)
        write(self, number, block)
        ended.append(number)

    def again():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        twice.set()

    def make(rows):
        if rows.start == 2:
            # The second block is still being written.
            assert ended == [0]
            threading.Timer(0.1, again).start()
            raise KeyboardInterrupt
        return dataset.isel(sample=rows)

    monkeypatch.setattr(BlockWriter, "write", slowly)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_in_blocks(make, tmp_path / "a.zarr", samples=6, block=1)
        assert ended == [0, 1]
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.iterdir())
