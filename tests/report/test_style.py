import itertools

import matplotlib as mpl
import pytest
from cycler import cycler
from matplotlib.figure import Figure

from stencilnet.discretizations import CLASSICAL, PICTURES
from stencilnet.report import (
    STYLE,
    error_against_time,
    figure_paths,
    line_styles,
    package_style,
    save,
    spectra,
)
from stencilnet.report.style import COLOURS, highlighted, labels

NEW = [f"method {number}" for number in range(40)]


@pytest.fixture(autouse=True)
def untouched_parameters():
    """matplotlib's own: other tests draw few pixels."""
    with mpl.rc_context({"savefig.dpi": "figure"}):
        yield


def pairs(styles):
    return [(style["color"], str(style["linestyle"])) for style in styles.values()]


def test_every_new_method_has_a_colour_and_line_style_of_its_own():
    assert len(set(pairs(line_styles(NEW[:30])))) == 30
    again = pairs(line_styles(NEW[:31]))
    assert again[30] == again[0]


def test_new_methods_beside_the_known_ones_are_distinct_too():
    known = list(COLOURS)[:13]
    styles = line_styles([*known, *NEW[:20]])
    assert len(set(pairs(styles))) == 33
    assert {name: styles[name]["color"] for name in known} == {
        name: COLOURS[name] for name in known
    }


def test_new_methods_take_colours_that_no_other_has_as_long_as_there_are():
    styles = line_styles(["learned", "weno_z", *NEW[:4]])
    assert len({style["color"] for style in styles.values()}) == 6
    neighbours = itertools.pairwise(line_styles(NEW[:6]).values())
    assert all(first["linestyle"] != then["linestyle"] for first, then in neighbours)


def test_a_coordinate_names_methods_before_the_table_does(make_comparison):
    comparison = make_comparison({"weno_z": 0.1, "mine": 0.2})
    assert labels(comparison, "scheme") == {
        "weno_z": "WENO-Z (exponent 2)",
        "mine": "mine",
    }
    named = comparison.assign_coords(label=("scheme", ["W", "My scheme"]))
    assert labels(named, "scheme") == {"weno_z": "W", "mine": "My scheme"}
    partly = comparison.assign_coords(label=("scheme", ["", "My scheme"]))
    assert labels(partly, "scheme") == {
        "weno_z": "WENO-Z (exponent 2)",
        "mine": "My scheme",
    }


def test_the_highlight_is_the_learned_method_or_what_the_dataset_names(make_comparison):
    comparison = make_comparison()
    assert highlighted(comparison, "scheme", "learned") == ["learned"]
    assert highlighted(comparison, "scheme", "absent") == []
    for value in ("mine", ["mine"]):
        own = comparison.assign_attrs(highlight=value)
        assert highlighted(own, "scheme", "learned") == ["mine"]
    with pytest.raises(ValueError, match="no scheme to highlight 'min'.*'mine'"):
        highlighted(comparison.assign_attrs(highlight="min"), "scheme", "learned")


def test_the_package_style_fills_in_what_the_user_left():
    before = mpl.rcParams["font.size"]
    with package_style():
        assert {key: mpl.rcParams[key] for key in STYLE} == dict(STYLE)
    assert mpl.rcParams["font.size"] == before
    mine = {"font.size": 17.0, "lines.linewidth": 4.0, "axes.spines.top": False}
    with mpl.rc_context(mine):
        with package_style():
            assert {key: mpl.rcParams[key] for key in mine} == mine
            assert mpl.rcParams["savefig.dpi"] == STYLE["savefig.dpi"]
        assert mpl.rcParams["font.size"] == 17.0


def test_a_figure_follows_the_style_of_its_user(make_comparison):
    comparison = make_comparison()
    (plain,) = error_against_time(comparison).axes
    assert plain.get_lines()[0].get_linewidth() == STYLE["lines.linewidth"]
    assert plain.xaxis.label.get_fontsize() == STYLE["font.size"]
    with mpl.rc_context({"font.size": 15, "lines.linewidth": 3.5}):
        (mine,) = error_against_time(comparison).axes
    assert mine.get_lines()[0].get_linewidth() == 3.5
    assert mine.xaxis.label.get_fontsize() == 15


def test_a_colour_cycle_of_the_user_colours_all_methods():
    with mpl.rc_context({"axes.prop_cycle": cycler(color=["red", "lime"])}):
        styles = line_styles(["learned", "weno_z", "mine", "other"])
    assert [style["color"] for style in styles.values()] == ["red", "lime"] * 2
    assert len(set(pairs(styles))) == 4
    both = cycler(color=["red", "lime"], linestyle=["--", ":"])
    with mpl.rc_context({"axes.prop_cycle": both}):
        styles = line_styles(["learned", "mine"])
    assert pairs(styles) == [("red", "--"), ("lime", ":")]


def test_the_reference_stands_out_from_a_dark_background(make_comparison):
    with mpl.rc_context({"text.color": "white"}):
        figure = spectra(make_comparison())
    assert figure.axes[0].get_lines()[0].get_color() == "white"


def test_a_figure_is_written_as_png_and_pdf_and_replaces_an_older_one(tmp_path):
    path = tmp_path / "new" / "figure.v2"
    for size in (1, 2):
        figure = Figure(figsize=(size, 1))
        files = save(figure, path)
    assert files == figure_paths(path) == [
        tmp_path / "new" / "figure.v2.png",
        tmp_path / "new" / "figure.v2.pdf",
    ]  # fmt: skip
    assert files[0].read_bytes()[:4] == b"\x89PNG"
    assert files[1].read_bytes()[:4] == b"%PDF"
    width = int.from_bytes(files[0].read_bytes()[16:20])
    assert width == 2 * STYLE["savefig.dpi"]
    assert sorted(files[0].parent.iterdir()) == sorted(files)


def test_a_figure_that_cannot_be_drawn_leaves_the_older_one(tmp_path):
    (older, _) = save(Figure(figsize=(1, 1)), tmp_path / "figure")
    before = older.read_bytes()
    broken = Figure(figsize=(1, 1))
    broken.text(0, 0, r"$\nonsense$")
    with pytest.raises(ValueError, match="nonsense"):
        save(broken, tmp_path / "figure")
    assert older.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_the_same_figure_is_the_same_file(tmp_path, make_comparison):
    comparison = make_comparison()
    first = save(error_against_time(comparison), tmp_path / "first")
    second = save(error_against_time(comparison), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", [*CLASSICAL, *PICTURES])
def test_tables_write_every_method_by_its_label(name, make_comparison):
    comparison = make_comparison({name: 0.1})
    label = {**CLASSICAL, **PICTURES}[name].label
    assert labels(comparison, "scheme") == {name: label}
    assert "_" not in label
