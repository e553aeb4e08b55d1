"""Which built-in functions a policy calls that the embedded engine does not really have.

An engine that finds this out while it evaluates answers some requests and not others; here it is found at load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import regorus

# They are there by name only: they give undefined, which a policy would read as "no".
_STUBS: Final = frozenset({"http.send", "opa.runtime", "rego.parse_module", "net.lookup_ip_addr", "trace"})
_TOO_MANY: Final = ", ".join("1" * 11)  # no built-in takes eleven arguments: one that exists complains of them

AST = Any


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    file: str
    line: int


def missing_builtins(modules: list[AST]) -> list[Call]:
    """Calls of functions that neither the policy defines nor the engine has."""
    missing = []
    known: dict[str, bool] = {}
    for call in builtin_calls(modules):
        if call.name not in known:
            known[call.name] = call.name not in _STUBS and _exists(call.name)
        if not known[call.name]:
            missing.append(call)
    return missing


def builtin_calls(modules: list[AST]) -> Iterator[Call]:
    """Calls of functions that the policy does not define itself."""
    for module in modules:
        tree, source = module["ast"], module["source"]
        own = _own_names(tree, source["contents"].encode())
        for name, line in _calls(tree):
            if name.partition(".")[0] not in own:
                yield Call(name, source["file"], line)


def _exists(name: str) -> bool:
    engine = regorus.Engine()
    try:
        engine.add_policy("probe", f"package probe\nx := {name}({_TOO_MANY})")
        engine.eval_rule_as_json("data.probe.x")
    except Exception as error:
        return "could not find function" not in str(error)
    return True


def package_of(module: AST) -> str:
    """`extproc.lib.job`."""
    return _path(module["ast"]["package"]["refr"]) or ""


def _own_names(tree: AST, text: bytes) -> set[str]:
    """What a module may call that is the policy's own: its rules, its imports, anything under `data`."""
    names = {"data", "input"}
    for rule in tree["rules"]:
        names |= {name.split(".")[0] for name in _heads(rule)}
    for imported in tree["imports"]:
        alias = imported.get("as")
        path = _path(imported["refr"]) or ""
        names.add(text[alias["start"] : alias["end"]].decode() if alias else path.rpartition(".")[2])
    return names


def _heads(node: AST) -> Iterator[str]:
    if isinstance(node, dict):
        if "refr" in node.get("Func", {}):
            name = _path(node["Func"]["refr"])
            if name:
                yield name
        for key, value in node.items():
            if key in ("Spec", "head", "Func"):
                yield from _heads(value)


def _calls(node: AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, dict):
        call = node.get("Call")
        if isinstance(call, dict):
            name = _path(call["fcn"])
            if name:
                yield name, call["span"]["line"]
        for value in node.values():
            yield from _calls(value)
    elif isinstance(node, list):
        for value in node:
            yield from _calls(value)


def _path(node: AST) -> str | None:
    """`a.b.c` of a reference, or None where it is not plain names."""
    if "Var" in node:
        return str(node["Var"]["value"])
    if "RefDot" in node:
        head = _path(node["RefDot"]["refr"])
        return f"{head}.{node['RefDot']['field'][-1]}" if head else None
    return None
