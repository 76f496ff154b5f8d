"""Tables and figures of results, read from datasets.

What a comparison declares of its metrics is described in `report.columns`, what its
figures read in `report.comparison`.
"""

from stencilnet.report.animation import ANIMATIONS, animate
from stencilnet.report.card import card, trajectories_figure
from stencilnet.report.certificate import certificate_figure, certificate_table
from stencilnet.report.columns import (
    comparison_table,
    latex_table,
    markdown_table,
    summarize,
)
from stencilnet.report.comparison import (
    comparison_figures,
    error_against_time,
    spectra,
    write_report,
)
from stencilnet.report.denoising import denoising_figure, denoising_table
from stencilnet.report.diagrams import snapshots, space_time
from stencilnet.report.fields import with_fields
from stencilnet.report.files import figure_paths, save
from stencilnet.report.page import report_page
from stencilnet.report.results import (
    json_text,
    write_json,
    write_page,
    write_table,
)
from stencilnet.report.rows import Rows
from stencilnet.report.style import (
    LABELS,
    STYLE,
    WIDTH,
    diverging_colours,
    labels,
    line_styles,
    package_style,
)
from stencilnet.report.training import training_figure
from stencilnet.report.trajectories import lineage_table, trajectories_table
from stencilnet.report.wavenumbers import modified_wavenumbers

__all__ = [
    "ANIMATIONS",
    "LABELS",
    "STYLE",
    "WIDTH",
    "Rows",
    "animate",
    "card",
    "certificate_figure",
    "certificate_table",
    "comparison_figures",
    "comparison_table",
    "denoising_figure",
    "denoising_table",
    "diverging_colours",
    "error_against_time",
    "figure_paths",
    "json_text",
    "labels",
    "latex_table",
    "line_styles",
    "lineage_table",
    "markdown_table",
    "modified_wavenumbers",
    "package_style",
    "report_page",
    "save",
    "snapshots",
    "space_time",
    "spectra",
    "summarize",
    "training_figure",
    "trajectories_figure",
    "trajectories_table",
    "with_fields",
    "write_json",
    "write_page",
    "write_report",
    "write_table",
]
