"""YAML of configs: plain values, of moderate size, each key once."""

from collections.abc import Hashable
from typing import Any

import yaml

# Of a config, with room to spare.
_MOST_CHARACTERS, _MOST_VALUES, _DEEPEST = 2**20, 10_000, 20


class _Loader(yaml.SafeLoader):
    """Refuses aliases that multiply, deep nesting and doubled keys."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(
                f"its values are nested more than {_DEEPEST} deep: flatten them"
            )
        repeated = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if repeated and id(node) not in self._sizes:
            raise yaml.YAMLError("what an alias stands for holds itself: write it out")
        self._depth -= 1
        # An alias counts as what it repeats.
        size = self._sizes.get(id(node))
        if size is None:
            size = 1 + sum(self._sizes.get(id(inner), 1) for inner in _inner(node))
            self._sizes[id(node)] = size
        if size > _MOST_VALUES:
            raise yaml.YAMLError(
                f"it has more than {_MOST_VALUES} values, aliases written out: "
                f"shorten it"
            )
        return node

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            text = getattr(key, "value", None)
            if isinstance(text, str) and text in keys and text != "<<":
                raise yaml.YAMLError(
                    f"the key {text!r} stands twice, the second time in line "
                    f"{key.start_mark.line + 1}: remove one"
                )
            keys.add(text if isinstance(text, str) else id(key))
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: with a clause on what is wrong and what to do.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it is longer than {_MOST_CHARACTERS} characters: shorten it")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark
        line = f" in line {where.line + 1}" if where else ""
        raise ValueError(f"it is not valid YAML{line}: fix the syntax") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        known = type(error) is yaml.YAMLError
        clause = str(error) if known else "it is not valid YAML: fix the syntax"
        raise ValueError(clause) from None


def _inner(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
