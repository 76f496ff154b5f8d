import io
import math

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from stencilnet.report import (
    Rows,
    comparison_table,
    latex_table,
    markdown_table,
    summarize,
)
from stencilnet.report.columns import SUMMARIES, metric_columns, write_tables
from stencilnet.storage import LATEX_MARK


def printed(comparisons, *, width=80, styles=False):
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(comparison_table(comparisons))
    return console.export_text(styles=styles)


def with_metric(comparison, values, **attributes):
    dims = ("scheme", "sample")[: np.ndim(values)]
    metric = xr.DataArray(values, dims=dims, attrs=attributes)
    return comparison.assign(shock_error=metric)


@pytest.fixture
def metric(make_comparison):
    """A comparison with a metric that the package does not know."""
    values = np.arange(24.0).reshape(6, 4)
    return with_metric(make_comparison(), values, heading="shock", format="{:.2f}!")


def test_a_metric_that_declares_itself_is_in_all_three_tables(metric, tmp_path):
    header, _, _, second, *_ = markdown_table([metric]).splitlines()
    assert header.endswith(" blow-ups | shock |")
    assert second.endswith(" 0/4 | 5.50! |")
    lines = printed([metric]).splitlines()
    assert any(line.split() == ["method", "shock"] for line in lines)
    assert any(line.split() == ["WENO-Z", "(exponent", "2)", "5.50!"] for line in lines)
    write_tables([metric], tmp_path)
    names, _, second, *_ = (tmp_path / "table.csv").read_text().splitlines()
    assert dict(zip(names.split(","), second.split(","), strict=True))[
        "shock_error"
    ] == str(5.5)


def test_a_variable_without_a_heading_is_no_column(metric):
    del metric["shock_error"].attrs["heading"]
    assert "shock_error" not in summarize([metric])[0]


@pytest.mark.parametrize(
    ("summary", "expected"),
    [("mean", 2.0), ("max", 4.0), ("min", 0.0), ("sum", 8.0), ("spread", 2**0.5)],
)
def test_summaries_are_over_the_samples(make_comparison, summary, expected):
    comparison = make_comparison({"a": 0.1, "b": 0.2})
    values = np.array([[1.0, 3.0, 0.0, 4.0], [0.0, 2.0, 2.0, 4.0]])
    comparison = with_metric(comparison, values, heading="m", summary=summary)
    assert summarize([comparison])[1]["shock_error"] == pytest.approx(expected)


def test_a_blow_up_is_the_worst_and_has_an_infinite_spread():
    values = np.array([0.1, np.nan])
    assert SUMMARIES["worst"](values) == SUMMARIES["spread"](values) == math.inf
    assert SUMMARIES["worst"](np.array([0.1, 0.3])) == 0.3


def test_one_variable_may_be_several_columns(make_comparison):
    row = summarize([make_comparison()])[1]
    errors = make_comparison()["relative_l2"].sel(scheme="weno_z").values
    assert row["relative_l2"] == errors.mean()
    assert row["spread"] == errors.std()
    assert row["worst"] == errors.max()


def test_a_metric_may_lack_samples_and_keeps_its_type(make_comparison):
    steps = np.array([3, 5])
    comparison = with_metric(
        make_comparison({"a": 0.1, "b": 0.2}), steps, heading="steps", format="{:d}"
    )
    assert summarize([comparison])[1]["shock_error"] == 5
    assert markdown_table([comparison]).splitlines()[3].endswith("| 5 |")


def test_columns_stand_in_the_order_of_their_positions(metric):
    names = [column.name for column in metric_columns([metric])]
    assert names == [
        "step", "relative_l2", "spread", "worst", "mean_absolute_error", "valid_time",
        "mean_drift", "blow_ups", "shock_error",
    ]  # fmt: skip
    metric["shock_error"].attrs["position"] = -1
    assert metric_columns([metric])[0].name == "shock_error"
    # A store lists its variables in another order.
    turned = metric[sorted(metric.data_vars, reverse=True)]
    assert metric_columns([turned]) == metric_columns([metric])


def test_a_comparison_that_lacks_a_metric_has_an_empty_cell(metric, make_comparison):
    other = make_comparison({"learned": 0.1}, points=64)
    *_, last = markdown_table([metric, other]).splitlines()
    assert last.endswith("| 0/4 |  |")
    assert "shock_error" not in summarize([metric, other])[-1]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"summary": "maximum"}, "no summary 'maximum'"),
        ({"format": "percent"}, "no format 'percent'"),
        ({"summary": ["mean", "max"]}, "have 1, 1 and 2 entries"),
        ({"column": "blow_ups"}, "Two columns of the table are named blow_ups"),
    ],
)
def test_declarations_that_make_no_sense_are_refused(metric, attributes, message):
    metric["shock_error"].attrs.update(attributes)
    with pytest.raises(ValueError, match=message):
        summarize([metric])


def test_a_metric_with_other_dimensions_is_refused(make_comparison):
    comparison = make_comparison()
    comparison["error"].attrs["heading"] = "error"
    with pytest.raises(ValueError, match="error has scheme, sample, time: reduce"):
        markdown_table([comparison])


def test_the_screen_fits_a_terminal_and_keeps_every_cell(metric):
    metric = metric.assign_coords(
        label=("scheme", [f"a method with a long name {i}" for i in range(6)])
    )
    text = printed([metric])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for heading in ("dt", "rel. L2", "worst", "MAE", "valid t", "blow-ups", "shock"):
        assert heading in text
    assert "spread" not in text
    assert sum("a method with a long name 3" in line for line in lines) > 1


def test_the_tables_name_methods_by_their_labels(make_comparison):
    comparison = make_comparison()
    assert "WENO-Z" in printed([comparison])
    assert len(printed([comparison]).splitlines()) == 8
    named = comparison.assign_coords(label=("scheme", list("ABCDEF")))
    assert markdown_table([named]).splitlines()[2].startswith("| A | 32 |")
    assert summarize([named])[0]["method"] == "learned"


def test_the_highlighted_method_is_bold(make_comparison):
    comparison = make_comparison().assign_attrs(highlight="mine")
    bold = [
        line
        for line in printed([comparison], styles=True).splitlines()
        if "\x1b[1m" in line
    ]
    assert [any(name in line for line in bold) for name in ("mine", "learned")] == [
        True,
        False,
    ]


def test_cells_after_a_blow_up_say_so(make_comparison):
    comparison = make_comparison(blow_ups=("other",))
    row = summarize([comparison])[-1]
    assert (row["blow_ups"], row["samples"]) == (4, 4)
    assert row["relative_l2"] == row["spread"] == row["worst"] == math.inf
    assert markdown_table([comparison]).splitlines()[-1].endswith("| inf | 4/4 |")


def test_tables_in_latex_escape_what_latex_reads(metric, tmp_path):
    metric["shock_error"].attrs["heading"] = "50 % of u_x"
    text = latex_table([metric])
    assert text.startswith("\\begin{tabular}{lr")
    assert r"50 \% of u\_x \\" in text
    columns = len(text.splitlines()[0].split("{")[2].strip("}"))
    assert text.count(" & ") == (len(metric["scheme"]) + 1) * (columns - 1)
    write_tables([metric], tmp_path)
    assert (tmp_path / "table.tex").read_text() == text + LATEX_MARK
    rows = Rows({"name": "", "x": "{:.1f}"}, [["a&b", 1.25], ["c", None]])
    assert rows.latex().splitlines()[4:6] == [r"a\&b & 1.2 \\", r"c &  \\"]
