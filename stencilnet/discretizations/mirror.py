"""Learned stencils that commute with the mirror `(x, u) -> (-x, -u)`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stencilnet.equations import (
    Form,
    form_has_mirror_symmetry,
    has_mirror_symmetry,
    mirror_partners,
)
from stencilnet.grid import Grid
from stencilnet.stencils import (
    CoefficientLayer,
    Derivative,
    PolyhedralLayer,
    stencil_offsets,
)


@dataclass(frozen=True)
class Choice:
    """What a network chose for one derivative, at each point.

    With the mirror image, stencils are the mean of the network's own and of the mirror
    image of those that it returns for the mirror image of its window,

        c(w)_j = (layer(xi(w))_j + (-1)**d image(xi'(-w reversed))_(-j)) / 2,

    where `d` is the order of the derivative, and `image` and `xi'` belong to the
    derivative at the mirrored place. Both satisfy the moment conditions, which are
    linear, so their mean does too.

    Attributes:
        layer: from raw numbers to stencils.
        raw: `xi`; with an image, `xi` and `xi'` along a leading axis.
        image: layer of the derivative at the mirrored place, None for no symmetry.
    """

    layer: CoefficientLayer
    raw: Float[Tensor, "..."]
    image: CoefficientLayer | None = None

    @property
    def parity(self) -> int:
        """`(-1)**d`."""
        return int((-1) ** self.layer.conditions.derivative)

    def stencils(self) -> Float[Tensor, "*batch points"]:
        """Dimensionless coefficients."""
        if self.image is None:
            return self.layer(self.raw)
        if self.image is self.layer:
            own, image = self.layer(self.raw)
        else:
            own, image = self.layer(self.raw[0]), self.image(self.raw[1])
        return own.add(image.flip(-1), alpha=self.parity) / 2

    def planes(self) -> Sequence[Tensor]:
        """`stencils` as one field per coefficient, see `CoefficientLayer.planes`."""
        if self.image is None:
            return self.layer.planes(self.raw.unbind(-1))
        own = self.layer.planes(self.raw[0].unbind(-1))
        image = self.image.planes(self.raw[1].unbind(-1))
        return [
            c.add(m, alpha=self.parity) / 2
            for c, m in zip(own, reversed(image), strict=True)
        ]


def with_image(window: Float[Tensor, "*batch window"]) -> Float[Tensor, "2 *b window"]:
    """Windows and their mirror images `-w reversed`, along a leading axis."""
    return torch.stack([window, -window.flip(-1)])


def choices_of(
    outputs: Mapping[str, Float[Tensor, "..."]],
    layers: Mapping[str, Any],
    partners: Mapping[str, str],
) -> dict[str, Choice]:
    """What a network chooses for each derivative.

    Args:
        outputs: of the network for the window of each derivative, with those for
            the mirror image of the window along a leading axis if there are partners.
        layers: in the order in which they share the last axis of the outputs.
        partners: from `mirror_of`.
    """
    columns, start = {}, 0
    for name, layer in layers.items():
        columns[name] = slice(start, start + layer.inputs)
        start += layer.inputs
    choices = {}
    for name, layer in layers.items():
        raw = outputs[name][..., columns[name]]
        partner = partners.get(name, name)
        if partner != name:
            image = outputs[name][1][..., columns[partner]]
            raw = torch.stack([raw[0], image])
        choices[name] = Choice(layer, raw, layers[partner] if partners else None)
    return choices


def mirror_of(
    mirror: bool | None,
    form: Form,
    grid: Grid,
    cells: Sequence[Mapping[str, tuple[int, ...]]],
    layers: Mapping[str, Any],
) -> dict[str, str]:
    """Name of the mirror image of each derivative, or nothing for no symmetry.

    Args:
        mirror: whether to have the symmetry; None for wherever that is possible.
        form: of the learned stencil.
        grid: of the learned stencil.
        cells: of stencils and of windows, by the names of the derivatives.
        layers: coefficient layers by the names of the derivatives.

    Raises:
        TypeError: if `mirror` is not True, False or None.
        ValueError: if `mirror` is true, and equation, form, stencils or constraints
            lack the symmetry.
    """
    if mirror is not None and not isinstance(mirror, bool):
        raise TypeError(f"`mirror` is True, False or None, not {mirror!r}.")
    if mirror is False:
        return {}
    try:
        return _checked_partners(form, grid, cells, layers)
    except ValueError:
        if mirror:
            raise
        return {}


def _checked_partners(
    form: Form,
    grid: Grid,
    cells: Sequence[Mapping[str, tuple[int, ...]]],
    layers: Mapping[str, Any],
) -> dict[str, str]:
    """`mirror_partners` of a form, whose stencils have to be closed under the mirror.

    Raises:
        ValueError: naming what is not.
    """
    equation = type(form.equation).__name__
    if not has_mirror_symmetry(form.equation):
        raise ValueError(
            f"{equation} does not commute with the mirror (x, u) -> (-x, -u), which "
            f"takes an even flux, even derivatives and an odd source: set mirror to "
            f"False."
        )
    partners = mirror_partners(form)
    if not form_has_mirror_symmetry(form, grid):
        raise ValueError(
            f"{type(form).__name__} of {equation} does not commute with the mirror, "
            f"although the equation does: set mirror to False, or look for a numerical "
            f"flux with F(-right, -left) != F(left, right)."
        )
    for name, image in partners.items():
        derivatives = form.requires[name], form.requires[image]
        for indices in cells:
            if not _are_mirrored(indices[name], indices[image], *derivatives):
                raise ValueError(
                    f"The cells {list(indices[image])} of {image!r} are not the mirror "
                    f"image of the cells {list(indices[name])} of {name!r}: choose "
                    f"another width or window, or set mirror to False."
                )
        if not _same_stencils(layers[name], layers[image]):
            raise ValueError(
                f"The constraint of {image!r} is not the mirror image of that of "
                f"{name!r}: choose constraints that are, or set mirror to False."
            )
    return partners


def _are_mirrored(
    cells: tuple[int, ...],
    images: tuple[int, ...],
    derivative: Derivative,
    image: Derivative,
) -> bool:
    offsets = stencil_offsets(images, image)
    return torch.equal(stencil_offsets(cells, derivative), -offsets.flip(-1))


def _same_stencils(layer: Any, image: Any) -> bool:
    """Whether the mirror maps the stencils of one layer onto those of the other.

    Moment conditions of one order do so; side conditions have to be looked at.
    """
    if type(layer) is not type(image) or (
        layer.conditions.order != image.conditions.order
    ):
        return False
    if not isinstance(layer, PolyhedralLayer) or not isinstance(image, PolyhedralLayer):
        return True
    parity = (-1) ** layer.conditions.derivative
    # Stencils that satisfy the equalities: a particular one and a null space.
    basis, mirrored = image.null_space, parity * layer.null_space.flip(-1)
    difference = parity * layer.particular.flip(-1) - image.particular
    projector = basis.mT @ basis
    equal = _near(projector, mirrored.mT @ mirrored)
    equal = equal and _near(projector @ difference, difference)
    # Inequalities in any order.
    rows = torch.cat([image.matrix, image.bounds.unsqueeze(-1)], dim=-1)
    flipped = torch.cat(
        [parity * layer.matrix.flip(-1), layer.bounds.unsqueeze(-1)], dim=-1
    )
    if not equal or len(rows) != len(flipped):
        return False
    if not len(rows):
        return True
    distances = (rows.unsqueeze(0) - flipped.unsqueeze(1)).abs().amax(-1)
    nearest = torch.cat([distances.amin(0), distances.amin(1)])
    return _near(nearest, torch.zeros_like(nearest))


def _near(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=1e-9, atol=1e-9)
