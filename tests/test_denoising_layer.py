"""The layers that denoise: gradients, agreement with cvxpylayers, learned weights."""

import math

import numpy as np
import pytest
import torch
from signals import each_end, each_order, each_penalty, kernels, unchecked, walk

from stencilnet.denoising import (
    Sure,
    TotalVariation,
    denoise_signals,
    search_weight,
    weight_max,
)
from stencilnet.denoising.cvxpy_layer import CvxpyTotalVariation

pytestmark = kernels


@each_end
@each_penalty
@each_order
@pytest.mark.parametrize("weight", [0.0, 0.3, 4.0, 1e6])
def test_gradients_are_exact(order, penalty, periodic, weight):
    x = torch.from_numpy(walk(2, 25, seed=5)).requires_grad_()
    weights = torch.tensor([weight, weight * 1.3]).double().requires_grad_(weight > 0)
    layer = TotalVariation(order=order, penalty=penalty, periodic=periodic)
    assert torch.autograd.gradcheck(layer, (x, weights), eps=1e-6, atol=2e-6, rtol=1e-6)


def test_gradients_of_total_variation_are_means_over_levels():
    x = torch.tensor([0.0, 0.2, 5.0, 5.2, 5.1]).double().requires_grad_()
    y = TotalVariation(0.5)(x)
    (gradient,) = torch.autograd.grad(y[0], x)
    assert gradient.tolist() == pytest.approx([0.5, 0.5, 0, 0, 0])
    (gradient,) = torch.autograd.grad(TotalVariation(0.5)(x)[3], x)
    assert gradient.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3])


@each_penalty
@each_order
def test_the_layer_agrees_with_cvxpylayers(order, penalty):
    x = torch.from_numpy(walk(3, 20, seed=6)).requires_grad_()
    kind = {"order": order, "penalty": penalty}
    ours = TotalVariation(0.7, **kind)(x)
    theirs = CvxpyTotalVariation(0.7, **kind)(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    ours, theirs = (
        torch.autograd.grad((y * torch.linspace(0, 1, 20).double()).sum(), x)[0]
        for y in (ours, theirs)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-2)


def test_cvxpylayers_works_without_gradients_too():
    x = torch.from_numpy(walk(2, 20))
    layer = CvxpyTotalVariation(0.3)
    torch.testing.assert_close(layer(x), TotalVariation(0.3)(x), rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x.requires_grad_()), layer(x).detach())


@each_penalty
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_follows_may_work_in_place(dtype, penalty):
    x = torch.from_numpy(walk(2, 20)).to(dtype).requires_grad_()
    layer = TotalVariation(0.3, penalty=penalty)
    (plain,) = torch.autograd.grad(torch.relu(layer(x)).sum(), x)
    (in_place,) = torch.autograd.grad(torch.relu_(layer(x)).sum(), x)
    assert torch.equal(plain, in_place)


def test_second_derivatives_are_refused():
    x = torch.from_numpy(walk(20)).requires_grad_()
    y = TotalVariation(0.3)(x)
    (gradient,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_transforms_of_torch_func_are_refused():
    layer, x = TotalVariation(0.3), torch.from_numpy(walk(20, 2))
    for transform in (
        lambda: torch.func.vmap(layer)(x),
        lambda: torch.func.grad(lambda u: layer(u).sum())(x),
        lambda: torch.func.jacrev(layer)(x),
    ):
        with pytest.raises(RuntimeError, match="does not compose .* torch.func: use"):
            transform()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layer_keeps_dtype_and_learns_its_weight(dtype):
    clean = torch.from_numpy(np.repeat(walk(8, 5, seed=7), 20, axis=1)).to(dtype)
    generator = torch.Generator().manual_seed(0)
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=generator, dtype=dtype)
    layer = TotalVariation(1e-2, learn=True)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        loss = (layer(noisy) - clean).square().mean()
        loss.backward()
        optimizer.step()
    assert layer(noisy).dtype == dtype
    best = search_weight(
        noisy.double().numpy(), clean.double().numpy(), np.geomspace(0.1, 10, 60)
    )
    assert float(loss.detach()) <= 1.01 * best.curve.min()


def test_the_layer_takes_any_batch_and_chooses_weights():
    x = torch.from_numpy(walk(2, 3, 40))
    assert TotalVariation(1.0)(x).shape == x.shape
    assert TotalVariation(1.0)(x[:0]).shape == (0, 3, 40)
    assert TotalVariation(1.0)(x[0, 0]).shape == (40,)
    denoised = TotalVariation(Sure(), order=2)(x)
    expected = denoise_signals(x.numpy(), Sure(), order=2)
    np.testing.assert_array_equal(denoised.numpy(), expected.signal)


@each_end
@each_order
def test_gradients_are_exact_close_to_the_largest_weight(order, periodic):
    """There a wrong face has a small duality gap already."""
    kind = {"order": order, "periodic": periodic}
    x = walk(30, seed=29)
    largest = float(weight_max(x, **kind))
    signal = torch.from_numpy(x).requires_grad_()
    weight = torch.tensor(largest * (1 - 1e-5)).double().requires_grad_()
    assert torch.autograd.gradcheck(
        TotalVariation(**kind), (signal, weight), eps=1e-7 * largest, atol=1e-5
    )


BAD = {
    "learned zero": (lambda: TotalVariation(0.0, learn=True), "starts positive"),
    "learned choice": (lambda: TotalVariation(Sure(), learn=True), "drop learn=True"),
    "order": (lambda: TotalVariation(1.0, order=4), "order 1, 2 or 3, not 4"),
    "negative": (lambda: TotalVariation(-1.0), "zero or more, not -1"),
    "tolerance": (lambda: TotalVariation(1.0, tolerance=math.nan), "must be positive"),
    "weights": (
        lambda: TotalVariation(1.0)(torch.zeros(2, 9).double(), torch.ones(3).double()),
        "give one weight, or one per signal",
    ),
    "not finite": (
        lambda: CvxpyTotalVariation(1.0)(torch.full((2, 9), math.inf).double()),
        "18 samples are NaN or infinite",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_and_names_are_refused_with_the_remedy():
    with unchecked():
        with pytest.raises(TypeError, match="as in x.double"):
            TotalVariation(1.0)(torch.zeros(9, dtype=torch.int64))
        with pytest.raises(TypeError, match="not MaskedArray: .* denoise_signals"):
            TotalVariation(1.0)(np.ma.masked_array(np.zeros(9), np.arange(9) == 4))
        with pytest.raises(TypeError, match=r"such as Sure\(\), not 'sure'"):
            TotalVariation("sure")
        with pytest.raises(TypeError, match=r"such as L1\(\), not 'l1'"):
            TotalVariation(1.0, penalty="l1")
