import json
import shutil

import numpy as np
import pytest
import torch
import zarr

from stencilnet import Grid, RandomForcing, read_trajectories, write_trajectories
from stencilnet.storage import (
    StoredOperator,
    forcing_of,
    grid_of,
    new_store,
    read_operator,
    trajectories,
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
    with pytest.raises(RuntimeError, match="half-way"), new_store(path) as partial:
        partial.mkdir()
        (partial / "half").write_text("half")
        raise RuntimeError("half-way")
    assert not list(tmp_path.iterdir())


def test_a_writer_that_fails_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), new_store(path, overwrite=True) as partial:
        partial.write_text("new")
        raise RuntimeError("half-way")
    assert path.read_text() == "old"


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
    with pytest.raises(ValueError, match=r"has the schema 'stencilnet\.operator/2'"):
        read_trajectories(learned)
    with pytest.raises(
        ValueError, match=r"has the schema 'stencilnet\.trajectories/2'"
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
