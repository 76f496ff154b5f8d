"""Differentiable PDE solver with learned stencils."""
