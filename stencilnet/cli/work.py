"""What the commands do, with the arguments that `commands` and its kin declare."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import typer
import xarray as xr

import stencilnet.study as stages
from stencilnet.cli.arguments import (
    boundaries_of,
    equation_of,
    number_or_name,
    without_suffix,
)
from stencilnet.cli.terminal import answer, console, rank
from stencilnet.progress import Progress, bars, no_progress
from stencilnet.report import (
    certificate_table,
    comparison_table,
    denoising_figure,
    denoising_table,
    figure_paths,
    lineage_table,
    save,
    summarize,
    trajectories_table,
    write_report,
    write_table,
)
from stencilnet.storage import (
    local_path,
    read_foreign,
    refuse_existing,
    stop,
    write_trajectories,
)

# What runs from here on ends in order when it is asked to stop.
for _number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) != signal.SIG_IGN:
        signal.signal(_number, stop)


def generate(
    config: str,
    overrides: list[str] | None,
    run: Path | None,
    *,
    workers: int | None,
    scheduler: str | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    study, folder = _study(config, overrides, run, dry_run)
    with _bar("Generating") as progress:
        paths = stages.generate(
            study,
            folder,
            workers=workers,
            scheduler=scheduler,
            overwrite=overwrite,
            progress=progress,
        )
    answer.wrote(paths)


def denoise(
    store: Path,
    out: Path | None,
    figure: Path | None,
    *,
    weight: str,
    overwrite: bool,
    **settings: Any,
) -> None:
    target = store if out is None else out
    drawn = target.with_name(f"{target.stem}-denoised") if figure is None else figure
    drawn = without_suffix(drawn)
    for path in figure_paths(drawn):
        refuse_existing(path, overwrite=overwrite, kind="figure")
    with _bar("Denoising") as progress:
        path = stages.denoise(
            store,
            out,
            weight=number_or_name(weight),
            overwrite=overwrite,
            progress=progress,
            **settings,
        )
    compared = stages.compare_denoisers(path)
    if "error" in compared:
        answer.show(denoising_table(compared), errors=_small(compared))
    answer.wrote([path, *save(denoising_figure(compared), drawn)])


def train(
    config: str,
    overrides: list[str] | None,
    run: Path | None,
    *,
    data: Path | None,
    resume: bool,
    tensorboard: Path | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    study, folder = _study(config, overrides, run, dry_run)
    for path in stages.training_figure_paths(folder / "operator.zarr"):
        refuse_existing(path, overwrite=overwrite, kind="figure")
    board = nullcontext() if tensorboard is None else stages.TensorBoard(tensorboard)
    with _bar("Training") as progress, board as watch:
        path = stages.train(
            study,
            folder,
            data=data,
            resume=resume,
            overwrite=overwrite,
            watch=watch,
            progress=progress,
        )
    if not rank:
        answer.wrote([path, *stages.save_training_figures(path)])


def simulate(
    method: str,
    out: Path,
    config: str | None,
    overrides: list[str] | None,
    *,
    extensions: list[str],
    **settings: Any,
) -> None:
    if overrides and config is None:
        raise ValueError("Overrides change a config: name one with --config.")
    study = stages.load_config(config, overrides or []) if config else None
    classes = [stages.imported(name) for name in extensions]
    path = stages.simulate(method, out, config=study, extensions=classes, **settings)
    answer.wrote([path])


def compare(
    config: str,
    overrides: list[str] | None,
    run: Path | None,
    *,
    data: Path | None,
    operator: Path | None,
    overwrite: bool,
    dry_run: bool,
    **settings: Any,
) -> None:
    study, folder = _study(config, overrides, run, dry_run)
    refuse_existing(folder / "comparison", overwrite=overwrite, kind="report")
    with _bar("Comparing") as progress:
        comparisons = stages.compare_study(
            study, folder, data=data, operator=operator, progress=progress, **settings
        )
    paths = write_report(comparisons, folder / "comparison", overwrite=overwrite)
    _show_comparisons(comparisons)
    answer.wrote(paths)


def demo(
    config: str,
    overrides: list[str] | None,
    run: Path | None,
    *,
    overwrite: bool,
    dry_run: bool,
) -> None:
    study, folder = _study(config, overrides, run, dry_run)
    with _displays() as each:
        result = stages.demo(study, folder, overwrite=overwrite, progress=each)
    _show_comparisons(result.comparisons)
    answer.wrote([*result.paths, result.result])


def verify(
    store: Path,
    data: Path | None,
    figure: Path | None,
    *,
    beside: list[str],
    extensions: list[str],
    overwrite: bool,
    **settings: Any,
) -> None:
    if beside and (data is None or figure is None):
        raise ValueError("What to draw beside the operator needs --data and --figure.")
    if figure is not None:
        figure = without_suffix(figure)
        for path in stages.certificate_figure_paths(figure, beside=bool(beside)):
            refuse_existing(path, overwrite=overwrite, kind="figure")
    classes = [stages.imported(name) for name in extensions]
    vouched = stages.verify(store, data=data, extensions=classes, **settings)
    answer.show(f"{store} is whole.", store=str(store), whole=True)
    kind = str(vouched.attrs.get("schema", "")).partition("/")[0]
    if kind != "stencilnet.certificate":
        if figure is not None:
            raise ValueError("Only a certificate is drawn: leave out --figure.")
        of_trajectories = kind == "stencilnet.trajectories"
        table = trajectories_table if of_trajectories else lineage_table
        attributes = {str(name): vouched.attrs[name] for name in vouched.attrs}
        sizes = {str(name): size for name, size in vouched.sizes.items()}
        answer.show(table(vouched), sizes=sizes, attributes=attributes)
        return
    answer.show(certificate_table(vouched), certificate=_small(vouched))
    if figure is not None:
        others = {}
        if data is not None:
            others = stages.certify_beside(beside, data, extensions=classes)
        answer.wrote(stages.save_certificate_figures(vouched, figure, others))


def sign(
    store: Path, key: Path, out: Path | None, *, extensions: list[str], **settings: Any
) -> None:
    classes = [stages.imported(name) for name in extensions]
    answer.wrote([stages.sign(store, key, out, extensions=classes, **settings)])


def sweep(
    config: str,
    settings: Sequence[str],
    run: Path | None,
    *,
    data: Path | None,
    jobs: int | None,
    scheduler: str | None,
    dry_run: bool,
) -> None:
    plan = stages.plan_sweep(config, settings, run, data=data)
    if dry_run:
        answer.show(plan.outline(), runs=[str(member.folder) for member in plan.runs])
        return
    with _displays() as each:
        failures = stages.run_sweep(plan, jobs=jobs, scheduler=scheduler, progress=each)
    done = [member.folder for member in plan.runs if member.folder not in failures]
    answer.wrote(done)
    if done:
        rows = stages.tabulate(done)
        answer.show(rows.markdown(), table=rows.records())
    if failures:
        told = "; ".join(f"{folder}: {text}" for folder, text in failures.items())
        raise ValueError(f"{len(failures)} of {len(plan.runs)} runs failed: {told}")


def report(run: Path, out: Path | None, *, overwrite: bool) -> None:
    answer.wrote([stages.run_page(run, out, overwrite=overwrite)])


def explore(store: Path, *, extensions: list[str], **settings: Any) -> None:
    classes = [stages.imported(name) for name in extensions]
    stages.explore(
        store,
        extensions=classes,
        served=lambda address: answer.show(f"{store} at {address}, until Ctrl-C"),
        **settings,
    )


def table(
    runs: Sequence[Path], *, metric: str, out: Path | None, overwrite: bool
) -> None:
    rows = stages.tabulate(runs, metric=metric)
    answer.show(rows.markdown(), table=rows.records())
    if out is not None:
        answer.wrote([write_table(rows.text(out.suffix), out, overwrite=overwrite)])


def import_(
    file: Path,
    out: Path | None,
    *,
    viscosity: float | None,
    equation: str | None,
    boundaries: str | None,
    overwrite: bool,
    **settings: Any,
) -> None:
    target = Path(f"{file.stem}.zarr") if out is None else out
    refuse_existing(target, overwrite=overwrite, kind="trajectories")
    known = equation_of(viscosity, equation)
    ends = boundaries_of(boundaries)
    dataset = read_foreign(file, equation=known, boundaries=ends, **settings)
    notes = list(dataset.attrs["notes"])
    for note in notes:
        answer.show(note)
    answer.show(trajectories_table(dataset.drop_attrs(deep=False)), notes=notes)
    answer.wrote([write_trajectories(dataset, target, overwrite=overwrite)])


def export(
    store: str, out: Path | None, *, extensions: list[str], **settings: Any
) -> None:
    classes = [stages.imported(name) for name in extensions]
    answer.wrote(stages.export(store, out, extensions=classes, **settings))


@contextmanager
def _displays() -> Iterator[Callable[[str], Progress]]:
    """A display of progress for each stage that asks for one."""
    if answer.quiet or rank:
        yield lambda _stage: no_progress
        return
    with bars(console) as each:
        yield each


@contextmanager
def _bar(stage: str) -> Iterator[Progress]:
    with _displays() as each:
        yield each(stage)


def _study(
    config: str, overrides: list[str] | None, run: Path | None, dry_run: bool
) -> tuple[stages.Config, Path]:
    """The study and its folder; a dry run prints its outline and ends here."""
    study = stages.load_config(config, overrides or [])
    stages.check_study(study)
    folder = local_path(run or Path("runs") / study.name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for the run.")
    if dry_run:
        outline, costs = stages.outline(study, folder), stages.costs(study)
        answer.show(f"{outline}\n{costs.text()}", outline=outline, **costs.record())
        raise typer.Exit
    return study, folder


def _show_comparisons(comparisons: Sequence[xr.Dataset]) -> None:
    answer.show(comparison_table(comparisons), table=summarize(comparisons))


def _small(dataset: xr.Dataset) -> dict[str, Any]:
    """Variables that fit a screen, as plain values."""
    return {
        str(name): variable.values.tolist()
        for name, variable in dataset.data_vars.items()
        if variable.size <= 64
    }
