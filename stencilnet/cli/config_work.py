"""What the commands `stencilnet config` do."""

from pathlib import Path

import stencilnet.study as stages
from stencilnet.cli.terminal import answer
from stencilnet.report import write_table


def show_config(config: str, overrides: list[str] | None) -> None:
    study = stages.load_config(config, overrides or [])
    answer.show(stages.config_text(study), **study.model_dump(mode="json"))


def show_schema() -> None:
    schema = stages.Config.model_json_schema()
    answer.values.update(schema)
    answer.as_json = True


def new_config(path: Path, like: str) -> None:
    study = stages.load_config(like)
    text = stages.config_text(study, comments=True)
    answer.wrote([write_table(text, path)])


def explain_keys(key: str | None) -> None:
    for known in stages.config_keys(key):
        answer.show(known.text(), **{known.name: known.record()})
