"""What data and training of an operator cost, in seconds."""

import json
import math
import time
from pathlib import Path

from stencilnet.storage import local_path
from stencilnet.study.config import Config
from stencilnet.study.constant import CONSTANT, constant_training
from stencilnet.study.generation import generate
from stencilnet.study.operators import load_operator
from stencilnet.study.training import train


def constant_stencil(config: Config, run: Path | str) -> tuple[Path, float]:
    """The best constant stencil of a config, trained where it is missing.

    Args:
        config: with data and grid to train on.
        run: folder for both.

    Returns:
        Path of the operator, and the seconds that a trajectory of its data took.
    """
    run = local_path(run)
    path, record = run / "operator.zarr", run / "seconds.json"
    if not (path.exists() and record.exists()):
        begun = time.perf_counter()
        generate(config, run, overwrite=True)
        data = config.data
        count = data.training + data.validation + data.test
        each = (time.perf_counter() - begun) / count
        methods = [name for name in config.comparison.methods if name != CONSTANT]
        comparison = config.comparison.model_copy(update={"methods": tuple(methods)})
        plain = config.model_copy(update={"comparison": comparison})
        train(constant_training(plain), run, overwrite=True)
        record.write_text(json.dumps(each), encoding="utf-8")
    return path, float(json.loads(record.read_text(encoding="utf-8")))


def spent(operator: Path | str, each: float) -> float:
    """Seconds for data and training of an operator.

    Args:
        operator: store, or name of a pretrained one. Its seconds are those of all
            trainings that it continues, and the data those of its own config, which
            leaves out the other regimes of a picture.
        each: seconds that a trajectory of data takes.

    Returns:
        The sum; NaN if the store does not tell how long its training took.
    """
    stored = load_operator(operator)[1]
    config = Config.model_validate_json(stored.attributes["config"])
    count = config.data.training + config.data.validation
    return each * count + float(stored.attributes.get("seconds", math.nan))
