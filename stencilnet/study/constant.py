"""The best constant stencil: what a learned one is compared with."""

import math

from stencilnet.discretizations import Constant
from stencilnet.study.config import Config

CONSTANT = "constant"
"""Name of the best constant stencil, a method that is trained, in comparisons."""


def constant_training(config: Config) -> Config:
    """The training of the best constant stencil.

    It has a handful of parameters, which take fewer and longer steps. As a baseline it
    may lean with a mean flow, whatever the operator does.
    """
    training = config.training
    iterations = math.ceil(training.iterations / 4)
    return config.model_copy(
        update={
            "operator": config.operator.model_copy(
                update={"network": Constant().spec(), "mirror": False}
            ),
            "training": training.model_copy(
                update={
                    "iterations": iterations,
                    "learning_rate": 5 * training.learning_rate,
                }
            ),
        }
    )
