"""The page of an explorer: what its controls do."""

import html
from collections.abc import Callable
from typing import Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import Button, Div, Select, Slider, Spinner, TextInput

from stencilnet.errors import in_words
from stencilnet.study.explorer_figures import Figures, label
from stencilnet.study.exploring import Explorer
from stencilnet.study.live import Live, Solution

_WIDE = {"sizing_mode": "stretch_width"}
# Bokeh puts the page that it extends before it.
_TEMPLATE = """{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="stencilnet">
<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff;
  max-width: 80rem; margin: 0 auto; padding: 1rem; height: auto; }
</style>
{% endblock %}
"""


class Page:
    """Controls and figures of one explorer, in one document.

    Args:
        explorer: what is shown.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.solution: Solution | None = None
        self.figures = Figures(
            explorer.x,
            explorer.grid.extent[-1],
            periodic=explorer.grid.boundaries is None,
        )
        state = explorer.fields(0)[explorer.names[0]][0]
        for name, (offsets, _) in explorer.coefficients(state).items():
            self.figures.add_stencil(name, offsets)
        self.status = Div(text="", name="status", **_WIDE)
        self._choices()
        self._settings()
        self.show_sample()

    def add_to(self, document: Any) -> None:
        """Puts the page into a document."""
        document.title = f"stencilnet: {self.explorer.path.name}"
        document.template = _TEMPLATE
        document.add_root(self.layout())

    def layout(self) -> Any:
        """Everything, from top to bottom."""
        plots, stencils = self.figures.plots, self.figures.stencils
        path = self.explorer.path.resolve()
        place, name = (html.escape(str(text)) for text in (path.parent, path.name))
        return column(
            Div(text=f"<h1>{name}</h1><p>in {place}</p>", **_WIDE),
            row(self.sample, self.method, self.time, **_WIDE),
            row(plots["state"], plots["field"], **_WIDE),
            row(plots["error"], plots["spectrum"], **_WIDE),
            Div(text="<h2>Solve now</h2>", **_WIDE),
            row(
                *(self.viscosity, self.seed, self.classical, self.duration),
                self.solve,
                **_WIDE,
            ),
            self.status,
            row(plots["learned"], plots["classical"], **_WIDE),
            Div(text="<h2>Learned operator</h2>" + self._about(), **_WIDE),
            *([row(*stencils.values(), **_WIDE)] if stencils else []),
            **_WIDE,
        )

    def show_sample(self) -> None:
        """Reads the sample that is chosen, and shows it."""
        fields = self.explorer.fields(int(self.sample.value))
        name = str(self.method.value)
        times = self.explorer.times
        self.figures.show_diagram("field", label(name), fields[name], times)
        reference = np.abs(fields[self.explorer.names[0]])
        self.figures.scale(float(reference[np.isfinite(reference)].max(initial=0)))
        self._show_errors()
        self.show_time()

    def show_time(self) -> None:
        """Shows the time that is chosen."""
        explorer, time = self.explorer, float(self.time.value)
        fields = explorer.fields(int(self.sample.value))
        lines = {}
        index = int(np.abs(explorer.times - time).argmin())
        if abs(explorer.times[index] - time) <= self.time.step:
            lines["reference"] = fields[explorer.names[0]][index]
            lines["chosen"] = fields[str(self.method.value)][index]
        if self.solution is not None:
            at = int(np.abs(self.solution.times - time).argmin())
            for line, name in self._solved().items():
                lines[line] = self.solution.fields[name][at]
        self.figures.show_lines(lines)
        state = lines.get("chosen", lines.get("learned"))
        if state is not None and np.isfinite(state).all():
            for name, (_, values) in explorer.coefficients(state).items():
                self.figures.show_coefficients(name, values)

    def run(self) -> None:
        """Solves what the controls say, and shows it."""
        solution = self.explorer.solve(self._live())
        self.solution = solution
        for line, name in self._solved().items():
            title = f"now: {label(name)}"
            u = solution.fields[name]
            self.figures.show_diagram(line, title, u, solution.times)
        self.time.end = max(self.explorer.times[-1], solution.times[-1])
        self._show_errors()
        self.show_time()
        self.status.text = f'<p role="status">{html.escape(self._words(solution))}</p>'

    def told(self, act: Callable[[], None]) -> None:
        """Acts, and tells on the page what goes wrong."""
        try:
            act()
        except (ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
            words = html.escape(in_words(error) or str(error))
            self.status.text = f'<p role="alert">{words}</p>'

    def _live(self) -> Live:
        seed = str(self.seed.value).strip()
        if seed and not seed.isdecimal():
            raise ValueError(f"A seed is a whole number from 0 on, not {seed!r}.")
        if self.duration.value is None:
            raise ValueError("A solve needs a duration: give a positive number.")
        return Live(
            int(self.sample.value),
            str(self.classical.value),
            self.viscosity.value if self.viscosity.visible else None,
            int(seed) if seed else None,
            float(self.duration.value),
        )

    def _solved(self) -> dict[str, str]:
        """Names of the methods of a solve, by their line in the figures."""
        names = [] if self.solution is None else list(self.solution.fields)
        return {"learned" if n == "learned" else "classical": n for n in names}

    def _words(self, solution: Solution) -> str:
        """What a solve took and came to."""
        parts = []
        for name, u in solution.fields.items():
            text = f"{label(name)}: {solution.seconds[name]:.2f} s"
            text += f", steps of {solution.steps[name]:.3g}"
            error = solution.errors.get(name, np.array([]))
            error = error[np.isfinite(error)]
            if not np.isfinite(u).all():
                text += ", blew up"
            elif len(error):
                text += f", relative L2 error {error.mean():.3g} in the mean of times"
            parts.append(text)
        if not solution.errors:
            parts.append("not the stored problem, so without errors")
        return "; ".join(parts) + "."

    def _about(self) -> str:
        bench = self.explorer.bench
        if bench is None:
            text = "The store does not say its equation, so that nothing is solved."
        elif bench.operator is None:
            text = "None fits the store: name one with --operator."
        else:
            text = bench.name
            if not self.figures.stencils:
                text += ", a picture of the solution within cells, without stencils"
        return f"<p>{html.escape(text)}</p>"

    def _show_errors(self) -> None:
        stored = self.explorer.errors(int(self.sample.value))
        chosen, times = str(self.method.value), self.explorer.times
        lines: list[tuple[str, str | int, np.ndarray, np.ndarray]] = [
            # Beside the reference, which has no error, those of all methods.
            (label(name), "chosen" if name == chosen else number, times, error)
            for number, (name, error) in enumerate(stored.items())
            if name == chosen or chosen not in stored
        ]
        for line, name in self._solved().items():
            if self.solution is not None and name in self.solution.errors:
                error = self.solution.errors[name]
                lines.append((f"now: {name}", line, self.solution.times, error))
        self.figures.show_errors(lines)

    def _choices(self) -> None:
        """Controls of what is shown of the store."""
        explorer, times = self.explorer, self.explorer.times
        most = explorer.samples - 1
        self.sample = Spinner(
            title=f"sample, 0 to {most}",
            low=0,
            high=most,
            value=0,
            step=1,
            width=140,
        )
        names = [(name, label(name)) for name in explorer.names]
        self.method = Select(
            title="method", options=names, value=explorer.names[-1], width=200
        )
        step = float(np.diff(times).min()) if len(times) > 1 else 1.0
        self.time = Slider(
            title="time",
            start=times[0],
            end=max(times[-1], times[0] + step),
            value=times[0],
            step=step,
            **_WIDE,
        )
        self._on(self.sample, self._renew)
        self._on(self.method, self.show_sample)
        self._on(self.time, self.show_time)

    def _on(self, control: Any, act: Callable[[], None]) -> None:
        """Acts whenever the value of a control changes."""
        control.on_change("value", lambda _attribute, _old, _new: self.told(act))

    def _settings(self) -> None:
        """Controls of what is solved."""
        bench = self.explorer.bench
        viscosity = None if bench is None else bench.viscosity
        self.viscosity = Spinner(
            title="viscosity",
            low=0.0,
            value=viscosity,
            step=0.001,
            format="0.000[000]",
            width=110,
            visible=viscosity is not None,
        )
        self.seed = TextInput(
            title="seed of the forcing", placeholder="as stored", width=150
        )
        methods = [] if bench is None else bench.classical
        self.classical = Select(
            title="classical method",
            options=[(name, label(name)) for name in methods],
            value="weno_z" if "weno_z" in methods else next(iter(methods), ""),
            width=200,
        )
        self.duration = Spinner(
            title="duration", low=0.1, value=20.0, step=1.0, width=110
        )
        self.solve = Button(label="Solve", button_type="primary", align="end")
        self.solve.disabled = not methods
        self.solve.on_click(lambda: self.told(self.run))

    def _renew(self) -> None:
        """Another sample: what was solved belongs to the one before."""
        if self.sample.value is None:
            self.sample.value = 0
            return
        self.solution, self.status.text = None, ""
        for line in ("learned", "classical"):
            self.figures.show_diagram(line, " ", None, self.explorer.times)
        self.show_sample()
