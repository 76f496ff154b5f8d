import io

import numpy as np
from rich.console import Console

from stencilnet.report import denoising_figure, denoising_table


def test_the_table_has_a_row_per_filter(make_filters):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(denoising_table(make_filters()))
    lines = console.export_text().splitlines()
    assert lines[0].split() == ["filter", "u", "u_x", "u_xx", "SNR", "gain", "setting"]
    assert [line.split("  ")[0].strip() for line in lines[2:7]] == [
        "no filter", "Gaussian", "Savitzky-Golay", "Tikhonov", "total variation",
    ]  # fmt: skip
    assert lines[3].split()[1:] == ["0.05", "0.45", "1.5", "3.0", "dB", "width", "1"]


def test_the_caption_names_the_best_filter_of_each_quantity(make_filters):
    compared = make_filters()
    errors = compared["error"].values.copy()
    errors[2, 1] = 1e-3
    table = denoising_table(compared.assign(error=compared["error"].copy(data=errors)))
    assert table.caption == (
        "Least errors: u total variation (0.02), u_x Savitzky-Golay (0.001), u_xx "
        "total variation (0.6)."
    )


def test_the_figure_has_a_column_per_filter_with_its_errors(make_filters):
    figure = denoising_figure(make_filters())
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[0] == "(a) no filter\nerror 0.1"
    assert titles[4] == "(e) total variation\nerror 0.02"
    assert titles[5] == "(f) error 0.9"
    assert [len(axis.get_lines()) for axis in figure.axes] == [2] * 10
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["clean"]


def test_the_figure_without_a_clean_field_has_the_fields_alone(make_filters):
    figure = denoising_figure(make_filters(clean=False))
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["(a) no filter", "(b) total variation", "(c)", "(d)"]
    assert [len(axis.get_lines()) for axis in figure.axes] == [1] * 4
    assert not figure.legends


def test_a_gap_in_the_clean_field_does_not_stop_the_figure(make_filters):
    compared = make_filters()
    clean = compared["clean"].values.copy()
    clean[0], clean[1, 0, 10:12] = np.nan, np.nan
    figure = denoising_figure(compared.assign(clean=compared["clean"].copy(data=clean)))
    assert np.isfinite(figure.axes[5].get_ylim()).all()
