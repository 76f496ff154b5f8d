"""Mirror symmetry of equations and forms: whether `-u(-x, t)` is a solution too."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations.base import Equation
from stencilnet.equations.forms import Form
from stencilnet.errors import holds
from stencilnet.grid import Grid
from stencilnet.stencils import Derivative


def has_mirror_symmetry(equation: Equation) -> bool:
    """Whether `-u(-x, t)` solves an equation if `u(x, t)` does.

    That takes an even flux, a linear part of even orders and an odd source; values of
    `u` between -1.5 and 2 decide.

    Example:
        >>> from stencilnet import Burgers
        >>> from stencilnet.equations import Advection, has_mirror_symmetry
        >>> equations = Burgers(viscosity=0.01), Advection(velocity=1.0)
        >>> [has_mirror_symmetry(equation) for equation in equations]
        [True, False]
    """
    v = torch.linspace(-1.5, 2.0, 8, dtype=torch.float64, device=_device(equation))
    with torch.no_grad():
        return (
            all(order % 2 == 0 for order in equation.linear())
            and (not equation.has_flux or _equal(equation.flux(-v), equation.flux(v)))
            and (
                not equation.has_source
                or _equal(equation.source(-v), -equation.source(v))
            )
        )


def mirror_partners(form: Form) -> dict[str, str]:
    """Name of the mirror image of each derivative that a form requires.

    The mirror image of a derivative that is taken at `at` and leans to `side` has the
    same order, lies at `-at` and leans to `-side`. A derivative at a face is taken at
    the face of another cell if the form requires none on the other side of the cell.

    Raises:
        ValueError: if the form does not require the mirror image of a derivative.

    Example:
        >>> from stencilnet import Burgers, UpwindFlux
        >>> from stencilnet.equations import mirror_partners
        >>> mirror_partners(UpwindFlux(Burgers(viscosity=0.01)))
        {'u_left': 'u_right', 'u_right': 'u_left', 'u_x': 'u_x'}
    """
    names: dict[Derivative, list[str]] = {}
    for name, derivative in form.requires.items():
        names.setdefault(derivative, []).append(name)
    partners: dict[str, str] = {}
    for derivative, peers in names.items():
        order, at, side = derivative.order, derivative.at, -derivative.side
        images = names.get(Derivative(order, -at, side), [])
        if not images and (2 * at).is_integer():
            images = names.get(Derivative(order, at, side), [])
        if len(images) != len(peers):
            raise ValueError(
                f"{type(form).__name__} requires {derivative.describe()} and not its "
                f"mirror image: set mirror to False."
            )
        partners |= dict(zip(peers, images, strict=True))
    return partners


def form_has_mirror_symmetry(form: Form, grid: Grid) -> bool:
    """Whether a form commutes with the mirror, whatever supplies its derivatives.

    Beyond the equation's, this is the symmetry of its speed, its numerical flux and a
    form of one's own. Random fields decide.

    Raises:
        ValueError: as `mirror_partners`.

    Example:
        >>> from stencilnet import Burgers, Grid, UpwindFlux
        >>> from stencilnet.equations import form_has_mirror_symmetry
        >>> class LeftBurgers(Burgers):  # upwind for u > 0 only
        ...     def riemann(self, left, right):
        ...         return self.flux(left)
        >>> forms = UpwindFlux(Burgers(0.01)), UpwindFlux(LeftBurgers(0.01))
        >>> [form_has_mirror_symmetry(form, Grid.line(16)) for form in forms]
        [True, False]
    """
    partners, equation = mirror_partners(form), form.equation
    # torch draws no numbers under vmap.
    generator = np.random.default_rng(0)

    def draw() -> Float[Tensor, "*sample x"]:
        values = torch.tensor(generator.uniform(-1.5, 2.0, grid.shape))
        return values.to(_device(equation)).expand(*equation.samples, *grid.shape)

    u, derivatives = draw(), {name: draw() for name in form.requires}
    images = {}
    for name, image in partners.items():
        derivative = form.requires[name]
        cells = round(derivative.at + form.requires[image].at)
        parity = -((-1) ** derivative.order)
        images[image] = parity * _mirrored(derivatives[name], cells)
    with torch.no_grad():
        u_t = form.time_derivative(u, derivatives, grid)
        image_t = form.time_derivative(-_mirrored(u), images, grid)
    return _equal(image_t, -_mirrored(u_t))


def _mirrored(
    field: Float[Tensor, "*batch x"], cells: int = 0
) -> Float[Tensor, "*batch x"]:
    """`field[-i - cells]`."""
    return field.flip(-1).roll(1 - cells, -1)


def _device(equation: Equation) -> torch.device:
    return next(iter(equation.tensors.values()), torch.empty(0)).device


def _equal(first: Tensor, second: Tensor) -> bool:
    # torch.isclose has no batching rule for vmap.
    near = ((first - second).abs() <= 1e-9 * (1 + second.abs())).all()
    return near.is_meta or holds(near)
