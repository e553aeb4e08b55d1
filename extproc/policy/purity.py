"""
What a policy's answer can depend on: which parts of the input it refers to, and whether anything but the input counts.

An answer may be remembered only where both are certain. Whatever is not understood here counts as "could be anything".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import Final

from extproc.policy.builtins import AST, builtin_calls

# Functions of their arguments alone (OPA's documentation, "Built-in Functions"): no clock, no randomness, no network.
_PURE: Final = (
    "abs", "all", "and", "any", "array.*", "base64.*", "base64url.*", "bits.*", "ceil", "concat", "contains", "count",
    "div", "endswith", "eq", "equal", "floor", "format_int", "glob.match", "glob.quote_meta", "graph.*", "gt", "gte",
    "hex.*", "indexof", "indexof_n", "intersection", "is_*", "json.*", "lower", "lt", "lte", "max", "min", "minus",
    "mul", "neq", "net.cidr_*", "numbers.range", "numbers.range_step", "object.*", "or", "plus", "product", "regex.*",
    "rem", "replace", "round", "semver.*", "set_diff", "sort", "split", "sprintf", "startswith", "strings.*",
    "substring", "sum", "to_number", "trim", "trim_*", "type_name", "union", "units.*", "upper", "urlquery.*", "walk",
    "yaml.*",
)  # fmt: skip


def is_pure(modules: list[AST]) -> bool:
    """Whether every function that is called gives the same for the same arguments."""
    # What the policy's own rules call is looked at where they stand.
    return all(any(fnmatch.fnmatchcase(call.name, pattern) for pattern in _PURE) for call in builtin_calls(modules))


def reads(modules: list[AST]) -> frozenset[str] | None:
    """The first names under `input` that the policy refers to; None where it may refer to any."""
    found: set[str] = set()
    for module in modules:
        for name in _references(module["ast"]):
            if name is None:
                return None
            found.add(name)
    return frozenset(found)


def _references(node: AST) -> Iterator[str | None]:
    """For each use of `input`: the name behind it, or None where it stands alone or what is behind is not constant."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        name = _under_input(node)
        if name is not None:
            yield name
            return
        if _is_input(node):
            yield None
        for value in node.values():
            yield from _references(value)


def _under_input(node: dict[str, AST]) -> str | None:
    """`input.name` or `input["name"]`, at the bottom of a longer reference too."""
    dotted, bracket = node.get("RefDot"), node.get("RefBrack")
    if isinstance(dotted, dict) and _is_input(dotted["refr"]):
        return str(dotted["field"][-1])
    if isinstance(bracket, dict) and _is_input(bracket["refr"]):
        text = bracket["index"].get("String")
        return str(text["value"]) if isinstance(text, dict) else None
    return None


def _is_input(node: AST) -> bool:
    variable = node.get("Var") if isinstance(node, dict) else None
    return isinstance(variable, dict) and variable.get("value") == "input"
