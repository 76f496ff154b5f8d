"""What methods share that supply derivatives to a form."""

import abc
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.discretizations.base import Discretization
from stencilnet.discretizations.ends import Ends, EndValues
from stencilnet.equations import Equation, FluxForm, Form
from stencilnet.grid import Grid
from stencilnet.stencils import Derivative


class StencilMethod(Discretization):
    """A discretization that supplies derivatives, which a form combines.

    Args:
        equation: the equation to discretize.
        grid: the grid to discretize on.
        form: which derivatives the equation takes: the class of a form, or one built
            from the equation.

    Raises:
        ValueError: if the method does not supply a derivative that the form requires.

    Example:
        >>> import torch
        >>> from stencilnet import Burgers, Convective, Grid
        >>> from stencilnet.discretizations import StencilMethod
        >>> class Fourier(StencilMethod):
        ...     @classmethod
        ...     def supplies(cls, derivative):
        ...         return derivative.at == 0
        ...     def derivatives(self, u):
        ...         ik, u_hat = 1j * self.grid.wavenumbers(), torch.fft.rfft(u)
        ...         return {
        ...             name: torch.fft.irfft(ik**derivative.order * u_hat)
        ...             for name, derivative in self.form.requires.items()
        ...         }
        >>> method = Fourier(Burgers(viscosity=0.1), Grid.line(16), Convective)
        >>> x = method.grid.points()
        >>> exact = -x.sin() * x.cos() - 0.1 * x.sin()
        >>> bool((method(x.sin()) - exact).abs().max() < 1e-12)
        True
    """

    def __init__(self, equation: Equation, grid: Grid, form: type[Form] | Form) -> None:
        built = form(equation) if isinstance(form, type) else form.of(equation)
        super().__init__(equation, grid, averages=built.averages)
        self._form = built
        for name, derivative in built.requires.items():
            if not self.supplies(derivative):
                raise ValueError(
                    f"{type(self).__name__} does not supply {derivative.describe()}, "
                    f"which {type(built).__name__} requires as {name!r}: choose "
                    f"another form or another method."
                )

    def _close_ends(
        self, cells: Iterable[Sequence[int]], degree: int, *, limited: bool = False
    ) -> None:
        """Says what stencils read, for a grid with boundaries.

        Args:
            cells: of each stencil or window, relative to the point.
            degree: of the polynomials for which derivatives are exact.
            limited: see `Ends`.
        """
        if self.grid.boundaries is not None:
            # The left end is the right face of the cell before the first one.
            ghosts = [max(1 - reach[0], reach[-1]) for reach in cells]
            self.ends = Ends(
                self.grid.boundaries,
                self.grid.shape[-1],
                ghosts=max(ghosts, default=1),
                degree=degree,
                averages=self.averages,
                limited=limited,
            )

    @property
    def form(self) -> Form:
        """The form, of the equation with the parameters that the module holds now."""
        return self._current(self._form)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> "Discretization":
        super()._apply(fn, recurse)
        self._form = self.form
        return self

    @classmethod
    @abc.abstractmethod
    def supplies(cls, derivative: Derivative) -> bool:
        """Whether the method has an approximation of a derivative."""

    @abc.abstractmethod
    def derivatives(
        self, u: Float[Tensor, "*batch x"]
    ) -> dict[str, Float[Tensor, "*batch x"]]:
        """The derivatives that `form.requires` names, of a field taken as periodic."""

    @final  # type: ignore[misc]
    def forward(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        if self.ends is not None:
            return self.at(None, u)
        self.check_field(u)
        return self.as_periodic(u)

    def as_periodic(self, u: Float[Tensor, "*batch x"]) -> Float[Tensor, "*batch x"]:
        return self.form.time_derivative(u, self.derivatives(u), self.grid)

    def between(
        self, u: Float[Tensor, "*batch x"], values: EndValues
    ) -> Float[Tensor, "*batch x"]:
        v, derivatives = self.continued(u, values)
        u_t = self.form.time_derivative(v, derivatives, self.grid)
        return u_t if self.ends is None else self.ends.within(u_t)

    def continued(
        self, u: Float[Tensor, "*batch x"], values: EndValues
    ) -> tuple[Float[Tensor, "*batch y"], dict[str, Float[Tensor, "*batch y"]]]:
        """The field between its ghost cells, and the derivatives there."""
        ends = self.ends
        if ends is None:
            return u, self.derivatives(u)
        v = ends.continued(u, values)
        return v, ends.with_end_states(self.derivatives(v), self.form.requires, values)

    def end_fluxes(
        self, u: Float[Tensor, "*batch x"], t: Tensor | None = None
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
        """The numerical fluxes through the left and the right end, to the right.

        Without a source `sum(u_t) dx` is their difference, left minus right.

        Args:
            u: cell averages.
            t: the time, where boundary values depend on it.

        Raises:
            ValueError: if the grid has no boundaries or the form no flux.
        """
        form, ends = self.form, self.ends
        if ends is None or not isinstance(form, FluxForm):
            raise ValueError(
                f"Fluxes through ends are those of a flux form between boundaries, not "
                f"of {type(form).__name__} on {self.grid!r}: give a grid with "
                f"boundaries and form=CentralFlux or UpwindFlux."
            )
        self.check_field(u)
        v, derivatives = self.continued(u, ends.values(u, t))
        flux = form.face_flux(derivatives)
        flux = torch.zeros_like(v) if flux is None else flux
        first = ends.ghosts - 1
        return flux[..., first], flux[..., first + self.grid.shape[-1]]

    @property
    def settings(self) -> dict[str, Any]:
        return {"form": self._form_type()}

    def _form_type(self) -> type[Form] | Form:
        """What builds the form again: its class, or a form that knows more."""
        plain = set(vars(self._form)) <= {"equation", "requires"}
        return type(self._form) if plain else self._form
