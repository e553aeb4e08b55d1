"""The parameters of a function, from pg_get_functiondef."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import postgast

from extproc.postgres.sql.parse import inner, parse

# Types that libpg_query reads in PL/pgSQL. Any other is a record to it.
_KNOWN: Final = frozenset({
    "int2", "int4", "int8", "text", "varchar", "bpchar", "bool", "numeric", "float4", "float8", "date", "timestamp",
    "timestamptz", "time", "timetz", "interval", "uuid", "json", "jsonb", "bytea", "oid", "name", "refcursor",
})  # fmt: skip
_OUT: Final = ("FUNC_PARAM_OUT", "FUNC_PARAM_INOUT", "FUNC_PARAM_TABLE")


@dataclass(frozen=True, slots=True)
class Signature:
    """
    `parameters`: name ("" where it has none) and type of what goes in, or comes out where no rows do. `rows`: the same
    of the columns of RETURNS TABLE and of OUT parameters of a function that returns rows. `result`: void, record, rows.
    """

    parameters: tuple[tuple[str, str], ...] = ()
    result: str = "record"
    rows: tuple[tuple[str, str], ...] = ()
    defaults: tuple[str, ...] = ()  # expressions

    def names(self) -> list[str]:
        return [name for name, _ in self.parameters + self.rows if name]

    def with_types(self, one: str) -> Signature:
        return replace(
            self,
            parameters=tuple((name, one) for name, _ in self.parameters),
            rows=tuple((name, one) for name, _ in self.rows),
        )

    def header(self) -> str:
        """Parameters and result, as CREATE FUNCTION takes them. No other name can be `public.record`."""
        arguments = ", ".join(_declared(name, type_) for name, type_ in self.parameters)
        columns = ", ".join(_declared(name, type_) for name, type_ in self.rows)
        result = f"TABLE ({columns})" if columns else "SETOF record" if self.result == "rows" else self.result
        return f"({arguments}) RETURNS {result}"


def signature_of(definition: str) -> Signature:
    """Raises `SqlError` where the grammar refuses it."""
    node = parse(definition)[0].node
    parameters = [inner(one) for one in node.parameters]
    set_of = node.return_type.setof
    into = [one for one in parameters if _mode(one) != "FUNC_PARAM_TABLE"]
    out = [one for one in parameters if _mode(one) in _OUT]
    rows: tuple[tuple[str, str], ...] = ()
    if set_of and out:
        rows = tuple((one.name, _type(one.arg_type)) for one in out if one.name)
        into = [one for one in into if _mode(one) not in _OUT or not one.name]
    plain = node.is_procedure or out or _type_name(node.return_type) in ("void", "")
    result = "rows" if set_of else "void" if plain else "record"
    return Signature(tuple((one.name, _type(one.arg_type)) for one in into), result, rows, _defaults(definition))


def _declared(name: str, type_: str) -> str:
    escaped = name.replace('"', '""')
    written = {"record": "public.record"}.get(type_, type_)
    return f'"{escaped}" {written}' if name else written


def _mode(parameter: Any) -> str:
    return str(parameter.DESCRIPTOR.fields_by_name["mode"].enum_type.values_by_number[parameter.mode].name)


def _type_name(type_: Any) -> str:
    names = [inner(one).sval for one in type_.names]
    return names[-1] if names and (len(names) == 1 or names[0] == "pg_catalog") else ".".join(names)


def _type(type_: Any) -> str:
    name = _type_name(type_)
    known = name in _KNOWN and not type_.pct_type
    if type_.array_bounds:
        return f"{name if known else 'text'}[]"
    return name if known else "record"


def _defaults(definition: str) -> tuple[str, ...]:
    """What stands after DEFAULT in the parameters. pg_get_functiondef never writes `=` there."""
    data = definition.encode()
    depth, begin, found = 0, -1, []
    for token in postgast.scan(definition).tokens:
        word = data[token.start : token.end]
        if word in (b"(", b"["):
            depth += 1
        elif word in (b")", b"]"):
            depth -= 1
        ends = (word == b"," and depth == 1) or (word == b")" and depth == 0)
        if ends and begin >= 0:
            found.append(data[begin : token.start].decode())
            begin = -1
        if word == b")" and depth == 0:
            break
        if word.lower() == b"default" and depth == 1 and begin < 0:
            begin = token.end
    return tuple(found)
