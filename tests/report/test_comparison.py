import numpy as np
import pytest

from stencilnet.report import (
    comparison_figures,
    error_against_time,
    markdown_table,
    snapshots,
    space_time,
    spectra,
    write_report,
)
from stencilnet.report.comparison import leading_methods
from stencilnet.report.style import COLOURS
from stencilnet.storage import TABLE_MARK, mark_report, read_dataset, write_dataset

FIGURES = ("space-time", "error-against-time", "snapshots", "spectra")


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles(figure):
    return [
        axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")
    ]


def test_figures_show_the_learned_method_and_then_the_best(make_comparison):
    comparison = make_comparison()
    assert leading_methods(comparison) == ["learned", "mine", "weno_z"]
    own = comparison.assign_attrs(highlight="spectral")
    assert leading_methods(own) == ["spectral", "learned", "mine"]
    others = comparison.isel(scheme=slice(1, None))
    assert leading_methods(others) == ["mine", "weno_z", "other"]


def test_methods_that_blew_up_are_left_out_unless_there_is_no_other(make_comparison):
    schemes = {"learned": 0.1, "mine": 0.01, "weno_z": 0.02}
    comparison = make_comparison(schemes, blow_ups=("mine", "learned"))
    assert leading_methods(comparison) == ["learned", "weno_z"]
    nothing = make_comparison({"a": 0.1, "b": 0.2}, blow_ups=("a", "b"))
    assert leading_methods(nothing) == ["a", "b"]


def test_space_time_has_a_column_per_method(make_comparison):
    figure = space_time(make_comparison())
    assert titles(figure) == [
        "(a) reference", "(b) learned", "(c) mine", "(d) WENO-Z (exponent 2)",
        "(e) relative $L^2$ error", "(f) error", "(g) error", "(h) error",
    ]  # fmt: skip
    assert legend(figure) == ["learned", "mine", "WENO-Z (exponent 2)"]


def test_space_time_draws_the_methods_asked_for(make_comparison):
    comparison = make_comparison()
    figure = space_time(comparison, ["other", "central_2"], sample=2)
    assert titles(figure)[:3] == ["(a) reference", "(b) other", "(c) central 2"]
    image = figure.axes[1].get_images()[0].get_array()
    expected = comparison["u"].sel(scheme="other").isel(sample=2).values.T
    np.testing.assert_array_equal(image, expected)


def test_a_method_keeps_its_style_whichever_others_are_drawn(make_comparison):
    comparison = make_comparison()
    (axis,) = error_against_time(comparison).axes
    everywhere = {line.get_label(): line.get_color() for line in axis.get_lines()}
    alone = space_time(comparison, ["other"]).axes[2].get_lines()[0]
    assert alone.get_color() == everywhere["other"]
    assert everywhere["learned"] == COLOURS["learned"]
    assert len(set(everywhere.values())) == 6


def test_one_large_error_does_not_hide_the_others(make_comparison):
    comparison = make_comparison({"learned": 0.01, "wild": 1e6})
    figure = space_time(comparison)
    limit = figure.axes[4].get_images()[0].norm.vmax
    assert limit == pytest.approx(2 * abs(comparison["reference"].isel(sample=0)).max())


def test_errors_against_time_have_bands_of_the_leading_methods(make_comparison):
    comparison = make_comparison()
    figure = error_against_time(comparison)
    (axis,) = figure.axes
    assert legend(figure)[-1] == "range of samples"
    assert len(axis.collections) == 3
    own = comparison.assign_attrs(highlight="spectral")
    (axis,) = error_against_time(own).axes
    colours = [tuple(band.get_facecolor()[0][:3]) for band in axis.collections]
    spectral = axis.get_lines()[2]
    assert spectral.get_label() == "pseudo-spectral"
    assert spectral.get_zorder() > axis.get_lines()[0].get_zorder()
    assert len(set(colours)) == 3
    few = error_against_time(comparison, ["other", "central_2"])
    assert legend(few) == ["other", "central 2", "range of samples"]
    assert len(few.axes[0].collections) == 2


def test_snapshots_are_about_the_steepest_place(make_comparison):
    comparison = make_comparison()
    figure = snapshots(comparison)
    jump = abs(comparison["reference"].isel(scheme=0).diff("x")).values
    moment = np.unravel_index(jump.argmax(), jump.shape)[1]
    times = comparison["time"].values
    middle = min(max(moment, 10), 30)
    shown = [f"$t = {times[middle + step]:.1f}$" for step in (-10, 0, 10)]
    assert [title.split(maxsplit=1)[1] for title in titles(figure)[:3]] == shown
    assert legend(figure) == ["reference", "learned", "mine", "WENO-Z (exponent 2)"]


def test_snapshots_draw_any_number_of_methods_and_of_times(make_comparison):
    comparison = make_comparison()
    every = snapshots(comparison, list(comparison["scheme"].values))
    markers = [line.get_marker() for line in every.axes[0].get_lines()[1:]]
    assert len(set(markers)) == len(markers) == 6
    for times in (1, 2, 3):
        figure = snapshots(make_comparison({"mine": 0.1}, times=times))
        assert len(figure.axes) == 2 * times


def test_spectra_leave_out_methods_without_a_finite_sample(make_comparison):
    comparison = make_comparison(blow_ups=("other",))
    assert legend(spectra(comparison)) == [
        "reference", "learned", "WENO-Z (exponent 2)", "pseudo-spectral", "central 2",
        "mine",
    ]  # fmt: skip


def test_labels_of_the_dataset_stand_in_every_figure(make_comparison):
    comparison = make_comparison({"learned": 0.1, "mine": 0.2})
    comparison = comparison.assign_coords(label=("scheme", ["L", "My method"]))
    for name, figure in comparison_figures(comparison).items():
        assert "My method" in legend(figure), name


@pytest.mark.parametrize("draw", [space_time, error_against_time, snapshots, spectra])
def test_unknown_methods_are_refused(make_comparison, draw):
    comparison = make_comparison()
    with pytest.raises(ValueError, match="'weno', did you mean 'weno_z'"):
        draw(comparison, ["weno"])
    with pytest.raises(ValueError, match="nothing to draw: name at least one"):
        draw(comparison, [])


@pytest.mark.long(seconds=8)
def test_a_report_holds_tables_figures_and_data(make_comparison, tmp_path):
    comparisons = [
        make_comparison({"learned": 0.1, "mine": 0.2}, points=points)
        for points in (16, 32)
    ]
    folder = tmp_path / "comparison"
    # What an older report left there.
    folder.mkdir()
    write_dataset(comparisons[0], folder / "comparison-64.zarr")
    (folder / "spectra-64.png").touch()
    mark_report(folder)
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_report(comparisons, folder)
    paths = write_report(comparisons, folder, overwrite=True)
    assert not (folder / "spectra-64.png").exists()
    assert all(path.stat().st_size > 0 for path in paths)
    assert {path.name for path in paths} == {"table.csv", "table.md", "table.tex"} | {
        f"{figure}-{points}.{kind}"
        for figure in FIGURES
        for points in (16, 32)
        for kind in ("png", "pdf")
    }
    assert (folder / "table.md").read_text() == markdown_table(comparisons) + TABLE_MARK
    stored = read_dataset(folder / "comparison-32.zarr")
    assert markdown_table([stored]) == markdown_table(comparisons[1:])


def test_figures_survive_blow_ups(make_comparison, tmp_path):
    comparison = make_comparison({"bad": 0.1}, blow_ups=("bad",))
    assert write_report([comparison], tmp_path / "comparison")


def test_ratios_of_spectra_leave_out_waves_that_the_reference_lacks(make_comparison):
    comparison = make_comparison()
    rounding = comparison["reference_spectrum"].copy()
    rounding[:, 5:] = 1e-30 * rounding.max()
    axis = spectra(comparison.assign(reference_spectrum=rounding)).axes[1]
    for line in axis.get_lines()[1:]:
        shown = np.isfinite(np.asarray(line.get_ydata(), dtype=float))
        assert shown[:4].all()
        assert not shown[4:].any()
