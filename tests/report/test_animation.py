from itertools import pairwise

import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from PIL import Image

from stencilnet import Burgers, Grid, Muscl, Weno, compare, write_trajectories
from stencilnet.report import animate
from stencilnet.storage import trajectories, write_dataset
from stencilnet.study import export

GRID, TIMES = Grid.line(16), np.arange(4) * 0.2


@pytest.fixture(scope="module")
def data():
    waves = np.sin(GRID.points().numpy() - TIMES[:, None])
    return trajectories(np.stack([waves, 2 * waves]), TIMES, GRID, averages=True)


@pytest.fixture(scope="module")
def comparison(data):
    burgers = Burgers(0.1)
    methods = {"weno_z": Weno(burgers, GRID), "muscl": Muscl(burgers, GRID)}
    return compare(methods, data)


def frames(path):
    with Image.open(path) as image:
        images = []
        for index in range(image.n_frames):
            image.seek(index)
            images.append(np.asarray(image.convert("RGB")))
        return images


def test_each_state_is_a_frame_of_one_size(data, comparison, tmp_path):
    for dataset in (data, comparison):
        path = animate(dataset, tmp_path / "a.gif", overwrite=True)
        images = frames(path)
        assert len(images) == len(TIMES)
        assert len({image.shape for image in images}) == 1
        for before, after in pairwise(images):
            assert (before != after).any()


def test_reference_and_methods_move_together(comparison, tmp_path):
    both = frames(animate(comparison, tmp_path / "a.gif"))[-1].astype(int)
    one = frames(animate(comparison, tmp_path / "b.gif", ["weno_z"]))[-1].astype(int)
    # The colour of MUSCL, a brown, is where that is drawn alone.
    brown = np.array([0xA6, 0x76, 0x1D])
    near = [(abs(image - brown).max(-1) < 40).sum() for image in (both, one)]
    assert near[0] > 20
    assert near[1] < near[0] / 4


def test_what_is_not_finite_leaves_the_picture(comparison, tmp_path):
    blown = comparison.copy(deep=True)
    blown["u"][0, 0, 2:] = np.inf
    assert len(frames(animate(blown, tmp_path / "a.gif"))) == len(TIMES)


def test_only_own_animations_are_replaced_and_none_is_left_half_written(
    data, tmp_path, monkeypatch
):
    path = animate(data, tmp_path / "a.gif")
    with pytest.raises(FileExistsError):
        animate(data, path)
    animate(data, path, overwrite=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "mine.gif")
    with pytest.raises(FileExistsError, match="no result of stencilnet"):
        animate(data, tmp_path / "mine.gif", overwrite=True)

    def fail(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("stencilnet.report.animation._Gif.finish", fail)
    with pytest.raises(KeyboardInterrupt):
        animate(data, tmp_path / "b.gif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "mine.gif"]


def test_stores_are_exported_as_animations(data, comparison, tmp_path):
    store = write_trajectories(data, tmp_path / "data.zarr")
    assert export(store, tmp_path / "a.gif", format="gif") == [tmp_path / "a.gif"]
    other = tmp_path / "comparison.zarr"
    write_dataset(comparison, other)
    assert len(frames(export(other, tmp_path / "b.gif", format="gif")[0])) == 4
    with pytest.raises(ValueError, match="no format of a comparison 'npz'"):
        export(other, tmp_path / "b.npz", format="npz")


def test_what_cannot_be_animated_is_refused(data, comparison, tmp_path, monkeypatch):
    for settings, words in (
        ({"path": tmp_path / "a.avi"}, "no format of animations '.avi'"),
        ({"sample": 2}, "no sample 2: take one from 0 to 1"),
        ({"methods": ["weno_z"]}, "no methods to choose"),
        ({"rate": 100}, "at most 50 states"),
    ):
        with pytest.raises(ValueError, match=words):
            animate(data, **{"path": tmp_path / "a.gif", **settings})
    with pytest.raises(ValueError, match="did you mean 'muscl'"):
        animate(comparison, tmp_path / "a.gif", ["musc"])
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ValueError, match="ffmpeg, which is not here"):
        animate(data, tmp_path / "a.mp4")


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="there is no ffmpeg")
def test_movies_are_written_where_ffmpeg_is(data, tmp_path):
    path = animate(data, tmp_path / "a.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"
    animate(data, path, overwrite=True)
