"""The shell of a study script: its arguments, its folder and what it leaves there."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from stencilnet.report import Rows, save, write_json, write_table
from stencilnet.storage import refuse_existing


@dataclass(frozen=True)
class Script:
    """A study from the command line, `python simulations/NAME.py [--quick]`.

        study = Script.parse(__file__, __doc__, quick="two grids each")
        ...
        study.write({"error": 0.1}, tables={"table": rows}, figures={"errors": figure})

    Attributes:
        folder: where it writes, `runs/NAME` unless `--run` names another folder.
        quick: whether `--quick` asks for a small case.
        options: values of the study's own arguments and options, by name.

    Example:
        >>> from pathlib import Path
        >>> from stencilnet.report import Rows
        >>> from stencilnet.study import Script
        >>> study = Script(Path("runs/orders"), quick=True, options={})
        >>> rows = Rows({"method": "", "order": "{:d}"}, [("muscl", 2), ("weno_z", 5)])
        >>> paths = study.write({"highest": 5}, tables={"orders": rows})
        | method | order |
        | --- | ---: |
        | muscl | 2 |
        | weno_z | 5 |
        <BLANKLINE>
        wrote runs/orders/orders.md
        wrote runs/orders/orders.csv
        wrote runs/orders/result.json
    """

    folder: Path
    quick: bool
    options: Mapping[str, Any]

    @classmethod
    def parse(
        cls,
        file: str,
        documentation: str | None,
        *,
        quick: str,
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "Script":
        """Reads the command line, and has torch use one thread.

        Args:
            file: of the script, whose name is that of the study.
            documentation: of the script; its first line is the help.
            quick: what `--quick` does.
            arguments: settings of `add_argument` for each positional argument of the
                study's own, by its name.
            options: the same for each of its options, by its name without dashes.

        Raises:
            FileExistsError: if there is a `result.json` in the folder that the package
                did not write, or an older version of it.
        """
        lines = (documentation or "").splitlines()
        parser = argparse.ArgumentParser(description=lines[0] if lines else None)
        parser.add_argument("--quick", action="store_true", help=quick)
        parser.add_argument(
            "--run",
            type=Path,
            default=Path("runs") / Path(file).stem,
            help="folder to write to (default: %(default)s)",
        )
        for name, settings in (arguments or {}).items():
            parser.add_argument(name, **settings)
        for name, settings in (options or {}).items():
            parser.add_argument(f"--{name}", **settings)
        values = vars(parser.parse_args())
        torch.set_num_threads(1)
        folder: Path = values.pop("run").expanduser()
        # Told before the work: at its end that would come late.
        refuse_existing(folder / "result.json", overwrite=True, kind="result")
        return cls(folder, values.pop("quick"), values)

    def write(
        self,
        result: dict[str, Any],
        *,
        tables: Mapping[str, Rows | str] | None = None,
        figures: Mapping[str, Figure] | None = None,
    ) -> list[Path]:
        """Writes and prints what the study found, and names the files.

        Args:
            result: the headline figures, for `result.json`.
            tables: by name; rows become Markdown and CSV, text a Markdown file.
            figures: by name; each becomes PNG and PDF.

        Returns:
            The files, of which older ones are replaced.
        """
        texts = {}
        for name, table in (tables or {}).items():
            if isinstance(table, Rows):
                texts[f"{name}.md"] = table.markdown()
                texts[f"{name}.csv"] = table.csv()
            else:
                texts[f"{name}.md"] = table
        paths = [self.folder / name for name in texts]
        for path, (name, text) in zip(paths, texts.items(), strict=True):
            write_table(text, path, overwrite=True)
            if name.endswith(".md"):
                print(text)
        for name, figure in (figures or {}).items():
            paths += save(figure, self.folder / name)
        paths.append(write_json(result, self.folder / "result.json", overwrite=True))
        for path in paths:
            print(f"wrote {path}")
        return paths
