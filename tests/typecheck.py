"""The type checker that `conftest` applies to every function of the package."""

from beartype import BeartypeConf, beartype

# The tower lets an integer pass where a float is declared, as type checkers do.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
