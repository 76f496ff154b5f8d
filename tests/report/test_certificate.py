import io

import numpy as np
import pytest
from rich.console import Console

from stencilnet.report import (
    certificate_figure,
    certificate_table,
    modified_wavenumbers,
    save,
)

WENO = {
    "method": "Weno",
    "equation": {"name": "Burgers", "viscosity": 0.02},
    "form": "UpwindFlux",
    "grid": {"shape": [32], "extent": [6.28]},
    "settings": {"variant": "z"},
}


@pytest.fixture
def weno(make_certificate):
    return make_certificate(("u_left", "u_x"), learned=False, spec=WENO)


@pytest.fixture
def spectral(make_certificate):
    """Of a method without stencils."""
    spec = {"method": "PseudoSpectral", "equation": {"name": "Burgers"}}
    return make_certificate((), learned=False, spec=spec)


def printed(certificate):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(certificate_table(certificate))
    return console.export_text()


def titles(figure):
    return [axis.get_title(loc="left") for axis in figure.axes]


def legends(figure):
    parts = [figure, *figure.subfigs]
    return [
        text.get_text()
        for part in parts
        for legend in part.legends
        for text in legend.get_texts()
    ]


def test_the_page_shows_what_was_certified(make_certificate):
    certificate = make_certificate()
    lines = printed(certificate).splitlines()
    assert lines[0] == "Burgers, viscosity 0.02, CentralFlux, on 32 points over 6.283"
    words = " ".join(lines[1:3])
    assert "width 6, window 6; constraint null_space, order 1, limit 10" in words
    assert "network mlp, hidden [32, 32]" in words
    for label, cells in (
        ("time step", ["0.05"]),
        ("largest stable one, linearized", ["0.11"]),
        ("largest moment residual", ["3e-15", "3e-15"]),
        ("Lipschitz constant, on the data", ["1.7", "1.7", "<=", "12.5"]),
        ("relative L2, rollouts", ["0.02000"]),
        ("blow-ups", ["0/2"]),
    ):
        (line,) = (line for line in lines if line.strip().startswith(label))
        assert line.strip().removeprefix(label).split() == cells
    assert max(map(len, lines)) <= 80


def test_the_page_shows_the_smaller_limit_of_stability(make_certificate):
    certificate = make_certificate()
    certificate["stable_step_of_data"] = 0.07
    assert " 0.07\n" in printed(certificate)
    assert "0.11" not in printed(certificate)


def test_the_page_claims_no_wave_that_the_grid_does_not_have(make_certificate):
    certificate = make_certificate()
    # The longest wave on 32 points has k dx = 0.196.
    certificate["resolved_k_dx"] = ("derivative", [2 * np.pi / 32, 0.19])
    (line,) = (line for line in printed(certificate).splitlines() if "1 %" in line)
    assert line.split()[-2:] == ["0.20", "none"]


def test_what_could_not_be_measured_is_left_open(make_certificate):
    certificate = make_certificate()
    certificate["observed_order"] = ("derivative", [np.nan, 2.0])
    certificate["lipschitz_bound"] = np.nan
    text = printed(certificate)
    assert "nan" not in text
    (line,) = (line for line in text.splitlines() if "observed order" in line)
    assert line.split()[-2:] == ["2.00", "2.01"]


def test_the_page_of_a_classical_method_leaves_out_what_it_has_not(weno, spectral):
    text = printed(weno)
    assert text.startswith("Burgers, viscosity 0.02, UpwindFlux, on 32 points")
    assert "Weno, variant z\n" in text
    assert "Lipschitz" not in text
    assert "u_left" in text
    text = printed(spectral)
    assert "Burgers, on 32 points over 6.283\nPseudoSpectral\n" in text
    for row in ("moment residual", "reverse", "resolved", "Lipschitz"):
        assert row not in text
    assert "observed order on smooth fields    " in text


def test_a_title_comes_from_the_entries_that_are_there(make_certificate):
    certificate = make_certificate(
        spec={
            "equation": {"name": "Burgers", "viscosity": [0.1, 0.25]},
            "network": "my.Module",
            "none": None,
            "stencil": {"width": 6, "layer": "null_space"},
        }
    )
    text = printed(certificate)
    assert text.startswith("Burgers, viscosity [0.1, 0.25], on 32 points over 6.283\n")
    assert "network my.Module; stencil width 6, layer null_space\n" in text
    assert printed(make_certificate(spec={})).startswith("on 32 points over 6.283\n")


def test_constraints_of_each_derivative_are_written_in_words(make_certificate):
    side = {"kind": "dissipation", "at": 0.5}
    spec = {
        "constraint": {
            "u": {"kind": "null_space", "order": 1},
            "u_x": {"kind": "convex", "side_conditions": [side]},
        }
    }
    words = " ".join(printed(make_certificate(spec=spec)).split())
    assert "u (null_space, order 1)" in words
    assert "u_x (convex, side_conditions [(dissipation, at 0.5)])" in words
    assert "{" not in words


def test_a_page_without_rollouts_or_steps_is_shorter(make_certificate):
    certificate = make_certificate()
    short = certificate.drop_vars(["relative_l2", "mean_drift", "blow_up", "step"])
    text = printed(short)
    for row in ("rollouts", "blow-ups", "time step"):
        assert row not in text
    assert "moment residual" in text


def test_the_figure_names_its_panels_and_its_bands(make_certificate):
    figure = certificate_figure(make_certificate())
    assert titles(figure) == [
        "(a) real part", "(b) imaginary part", "(c)", "(d)", "(e) convergence",
        "(f) stability",
    ]  # fmt: skip
    assert legends(figure) == ["exact", "median", "all stencils", "5 to 95 %"]
    assert len(figure.subfigs[0].axes[0].collections) == 2


def test_every_derivative_is_drawn(make_certificate):
    names = ("u", "u_x", "u_xx", "u_xxx", "u_xxxx")
    figure = certificate_figure(make_certificate(names))
    convergence = figure.axes[2 * len(names)]
    drawn = [line.get_label() for line in convergence.get_lines()]
    assert drawn == ["$u$", "$u_{x}$", "$u_{xx}$", "$u_{xxx}$", "$u_{xxxx}$", "$u_t$"]
    colours = {line.get_color() for line in convergence.get_lines()}
    assert len(colours) == 6


def test_the_figure_of_a_classical_method_has_the_panels_there_are(
    weno, spectral, tmp_path
):
    assert len(titles(certificate_figure(weno))) == 6
    figure = certificate_figure(spectral)
    assert titles(figure) == ["(a) convergence", "(b) stability"]
    assert all(path.stat().st_size > 1000 for path in save(figure, tmp_path / "a"))
    still = weno.drop_vars(["eigenvalue_real", "refinement_error_u_t"])
    assert titles(certificate_figure(still))[-1] == "(e) convergence"
    waves = still.drop_vars("refinement_error")
    assert len(titles(certificate_figure(waves))) == 4
    empty = spectral.drop_vars(
        ["eigenvalue_real", "refinement_error_u_t", "refinement_error"]
    )
    with pytest.raises(ValueError, match="nothing that could be drawn"):
        certificate_figure(empty)


def test_symmetric_stencils_are_drawn_without_their_rounding(make_certificate):
    certificate = make_certificate()
    parts = certificate["modified_wavenumber"]
    parts[:, 1] = 1e-16 * np.cos(parts["k_dx"])
    imaginary = certificate_figure(certificate).subfigs[0].axes[1]
    median = imaginary.get_lines()[1].get_ydata()
    assert (median == 0).all()
    assert imaginary.get_ylim()[1] > 1e-3


def test_modified_wavenumbers_of_several_methods_share_a_figure(
    make_certificate, spectral
):
    certificates = {
        "learned": make_certificate(),
        "central_2": make_certificate(learned=False, seed=1),
        "mine": make_certificate(("u_left", "u_x"), learned=False),
        "spectral": spectral,
    }
    figure = modified_wavenumbers(certificates)
    assert titles(figure) == ["(a) real part", "(b) imaginary part", "(c)", "(d)"]
    drawn = [
        [line.get_label() for line in axis.get_lines()] for axis in figure.axes[::2]
    ]
    assert drawn == [
        ["exact", "learned", "central 2", "mine"],
        ["exact", "learned", "central 2", "mine"],
    ]
    assert legends(figure) == ["exact", "learned", "central 2", "mine", "5 to 95 %"]
    colours = {line.get_color() for line in figure.axes[2].get_lines()[1:]}
    assert len(colours) == 3


def test_modified_wavenumbers_of_one_method_or_of_none(make_certificate, spectral):
    assert len(modified_wavenumbers({"learned": make_certificate()}).axes) == 4
    apart = {"learned": make_certificate(("u",)), "other": make_certificate(("u_x",))}
    with pytest.raises(ValueError, match="share no derivative.*learned: u; other: u_x"):
        modified_wavenumbers(apart)
    with pytest.raises(ValueError, match="spectral: none"):
        modified_wavenumbers({"spectral": spectral})
    with pytest.raises(ValueError, match="share no derivative"):
        modified_wavenumbers({})
