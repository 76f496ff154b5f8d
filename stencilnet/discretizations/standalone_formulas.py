"""Formulas of a learned stencil as text, the same in Python and C."""

from stencilnet.discretizations.standalone import Standalone


def title_of(operator: Standalone) -> str:
    return f"A learned stencil: {operator.equation}; {operator.form}."


def face_flux(operator: Standalone) -> str:
    """The flux through a face from its derivatives, for forms of fluxes."""
    terms = []
    if operator.form == "CentralFlux" and "flux" in operator.formulas:
        u = f"d[{operator.number_of('u')}]"
        terms.append(operator.formulas["flux"](u))
    if operator.form == "UpwindFlux" and "riemann" in operator.formulas:
        sides = [f"d[{operator.number_of(name)}]" for name in ("u_left", "u_right")]
        terms.append(operator.formulas["riemann"](*sides))
    terms += [f"({-value!r}) * d[{i}]" for i, value in operator.linear.items()]
    return " + ".join(terms) or "0.0"


def source_of(operator: Standalone) -> str:
    """What a source adds to `u_t`, with a sign before it; nothing for none."""
    source = operator.formulas.get("source")
    if source is None:
        return ""
    if operator.form == "Convective":
        return f" + {source('u_i')}"
    parts = [
        source(f"d[{operator.number_of(name)}]")
        for name in ("u_inner_left", "u_inner_right")
    ]
    return f" + 0.5 * ({parts[0]} + {parts[1]})"


def pointwise(operator: Standalone) -> str:
    """`u_t` in the convective form."""
    terms = [f"({value!r}) * d[{i}]" for i, value in operator.linear.items()]
    if "speed" in operator.formulas:
        speed = operator.formulas["speed"]("u_i")
        terms.append(f"(-1.0) * ({speed}) * d[{operator.number_of('u_x')}]")
    return (" + ".join(terms) or "0.0 * u_i") + source_of(operator)
