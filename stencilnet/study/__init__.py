"""The stages of a study, as functions, and what studies are made of."""

from stencilnet.study.certificate import certify
from stencilnet.study.comparison import compare, compare_study
from stencilnet.study.config import Config
from stencilnet.study.costs import Costs, costs
from stencilnet.study.demonstration import DemoResult, demo
from stencilnet.study.denoising import denoise
from stencilnet.study.explorer_server import explore, serve
from stencilnet.study.exploring import Explorer, opened
from stencilnet.study.exporting import export, export_operator
from stencilnet.study.extensions import imported
from stencilnet.study.figures import (
    certificate_figure_paths,
    save_certificate_figures,
    save_training_figures,
    training_figure_paths,
)
from stencilnet.study.filters import compare_denoisers
from stencilnet.study.fitting import fit
from stencilnet.study.generation import generate, read_split, store_path
from stencilnet.study.initial import InitialState
from stencilnet.study.initial_kinds import INITIAL_STATES
from stencilnet.study.keys import Key, config_keys, config_text
from stencilnet.study.live import Live, Solution
from stencilnet.study.loading import load_config
from stencilnet.study.metrics import METRICS, Metric, mean_drift, relative_l2
from stencilnet.study.operators import load_operator, save_operator
from stencilnet.study.outline import check_study, outline
from stencilnet.study.pages import run_page
from stencilnet.study.problem import equation_of, forcing_of, problem_of, states_of
from stencilnet.study.reference import InitialValueProblem, onto, reference_solution
from stencilnet.study.script import Script
from stencilnet.study.simulation import simulate
from stencilnet.study.sweep import run_sweep
from stencilnet.study.sweep_plans import Sweep, plan_sweep
from stencilnet.study.tables import tabulate
from stencilnet.study.tensorboard import TensorBoard
from stencilnet.study.training import train
from stencilnet.study.verification import certify_beside, sign, verify

__all__ = [
    "INITIAL_STATES",
    "METRICS",
    "Config",
    "Costs",
    "DemoResult",
    "Explorer",
    "InitialState",
    "InitialValueProblem",
    "Key",
    "Live",
    "Metric",
    "Script",
    "Solution",
    "Sweep",
    "TensorBoard",
    "certificate_figure_paths",
    "certify",
    "certify_beside",
    "check_study",
    "compare",
    "compare_denoisers",
    "compare_study",
    "config_keys",
    "config_text",
    "costs",
    "demo",
    "denoise",
    "equation_of",
    "explore",
    "export",
    "export_operator",
    "fit",
    "forcing_of",
    "generate",
    "imported",
    "load_config",
    "load_operator",
    "mean_drift",
    "onto",
    "opened",
    "outline",
    "plan_sweep",
    "problem_of",
    "read_split",
    "reference_solution",
    "relative_l2",
    "run_page",
    "run_sweep",
    "save_certificate_figures",
    "save_operator",
    "save_training_figures",
    "serve",
    "sign",
    "simulate",
    "states_of",
    "store_path",
    "tabulate",
    "train",
    "training_figure_paths",
    "verify",
]
