"""Networks that choose coefficients, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stencilnet.discretizations.constant import Constant
from stencilnet.errors import as_integer


class Perceptron(nn.Sequential):
    """A multilayer perceptron with SiLU whose output is zero until it is trained.

    Args:
        inputs, outputs: number of values in and out.
        hidden: sizes of the hidden layers.
        seed: fixes the initial weights; torch's global generator is left alone.

    Example:
        >>> import torch
        >>> from stencilnet.discretizations import Perceptron
        >>> network = Perceptron(6, (16, 8), 3, seed=0)
        >>> [tuple(layer.weight.shape) for layer in network if hasattr(layer, "weight")]
        [(16, 6), (8, 16), (3, 8)]
        >>> network(torch.ones(2, 6).double()).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, *, seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        sizes = (inputs, *hidden)
        modules: list[nn.Module] = []
        for size, following in pairwise(sizes):
            linear = _empty(size, following)
            bound = size**-0.5
            with torch.no_grad():
                linear.weight.uniform_(-bound, bound, generator=generator)
                linear.bias.uniform_(-bound, bound, generator=generator)
            modules += [linear, nn.SiLU()]
        last = _empty(sizes[-1], outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(*modules, last)
        self.hidden = tuple(hidden)

    def __getitem__(self, index: Any) -> Any:
        """A layer, or a `Sequential` of some of them."""
        if isinstance(index, slice):
            return nn.Sequential(*list(self)[index])
        return super().__getitem__(index)

    def planes(
        self, inputs: Float[Tensor, "input point"]
    ) -> Float[Tensor, "output point"]:
        """`forward` with one row per input and output, and one column per point.

        Where fields come as planes, it saves copies into rows and back.
        """
        values = inputs
        for module in self:
            if isinstance(module, nn.Linear):
                values = torch.addmm(module.bias.unsqueeze(-1), module.weight, values)
            else:
                values = module(values)
        return values

    def spec(self) -> dict[str, Any]:
        """The value that builds it, as plain values."""
        return MLP(*self.hidden).spec()


@dataclass(frozen=True, init=False)
class MLP:
    """A multilayer perceptron that `LearnedStencil` builds to measure.

    Attributes:
        hidden: sizes of the hidden layers.

    Raises:
        ValueError: if there is no hidden layer or one has no unit.

    Example:
        >>> from stencilnet import MLP
        >>> network = MLP(32, 32).build(6, 12, seed=0)
        >>> sum(weight.numel() for weight in network.parameters())
        1676
    """

    hidden: tuple[int, ...]

    def __init__(self, *hidden: int) -> None:
        # Zero stands for what is no whole number.
        sizes = tuple(as_integer(size) or 0 for size in hidden)
        if not sizes or min(sizes) < 1:
            raise ValueError(
                f"A network needs hidden layers of at least 1 unit, not {hidden}."
            )
        object.__setattr__(self, "hidden", sizes)

    def build(self, inputs: int, outputs: int, *, seed: int) -> Perceptron:
        """The network, from windows of `inputs` values to `outputs` raw numbers."""
        return Perceptron(inputs, self.hidden, outputs, seed=seed)

    def spec(self) -> dict[str, Any]:
        """The network as plain values, for `network_from_spec`."""
        return {"kind": "mlp", "hidden": list(self.hidden)}


def network_from_spec(spec: Any) -> MLP | Constant:
    """The value that `MLP.spec` or `Constant.spec` described.

    Raises:
        ValueError: if it is another network, which only its owner can build.

    Example:
        >>> from stencilnet.discretizations import Constant, network_from_spec
        >>> network_from_spec({"kind": "mlp", "hidden": [32, 32]})
        MLP(hidden=(32, 32))
        >>> network_from_spec(Constant().spec())
        Constant()
    """
    if spec == Constant().spec():
        return Constant()
    if not isinstance(spec, dict) or spec.get("kind", "mlp") != "mlp":
        name = spec.get("class", spec) if isinstance(spec, dict) else spec
        raise ValueError(
            f"The network {name!r} is not one of the package's: pass a module of the "
            f"same shape, as in load_operator(path, network=...)."
        )
    if set(spec) - {"kind"} != {"hidden"} or not isinstance(
        spec["hidden"], list | tuple
    ):
        raise ValueError(
            f"A multilayer perceptron is written {{kind: mlp, hidden: [32, 32]}}, not "
            f"{spec}."
        )
    return MLP(*spec["hidden"])


def _empty(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that has drawn nothing from torch's global generator."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, inputs, outputs, dtype=torch.float64
    )
    return layer


def check_outputs(network: nn.Module, inputs: int, outputs: int) -> None:
    """Raises unless a network maps windows to as many numbers as layers take.

    Args:
        network: from windows of shape `(*batch, inputs)`; called once.
        inputs: values of a window.
        outputs: raw numbers of the layers.

    Raises:
        ValueError: if it returns another shape.
    """
    weights = next(network.parameters(), torch.empty(0))
    with torch.no_grad():
        answer = network(torch.zeros(1, inputs).to(weights))
    if tuple(answer.shape) != (1, outputs):
        raise ValueError(
            f"The network maps windows of {inputs} values to shape "
            f"{tuple(answer.shape)}, but the layers take (1, {outputs}): give it "
            f"{outputs} outputs."
        )
