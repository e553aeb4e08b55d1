"""How PostgreSQL names a column of a SELECT that has no alias (FigureColname of parse_target.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

_SQL_VALUES: Final = (
    "", "current_date", "current_time", "current_time", "current_timestamp", "current_timestamp", "localtime",
    "localtime", "localtimestamp", "localtimestamp", "current_role", "current_user", "user", "session_user",
    "current_catalog", "current_schema",
)  # fmt: skip
_FIXED: Final = {
    "a_array_expr": "array",
    "row_expr": "row",
    "coalesce_expr": "coalesce",
    "grouping_func": "grouping",
    "merge_support_func": "merge_action",
    "xml_serialize": "xmlserialize",
    "json_parse_expr": "json",
    "json_scalar_expr": "json_scalar",
    "json_serialize_expr": "json_serialize",
    "json_object_constructor": "json_object",
    "json_array_constructor": "json_array",
    "json_array_query_constructor": "json_array",
    "json_object_agg": "json_objectagg",
    "json_array_agg": "json_arrayagg",
}
_XML: Final = ("", "xmlconcat", "xmlelement", "xmlforest", "xmlparse", "xmlpi", "xmlroot")
_JSON: Final = ("", "json_exists", "json_query", "json_value")
_EXISTS, _EXPR, _ARRAY = 1, 5, 7  # SubLinkType
_NULLIF: Final = 6  # A_Expr_Kind
_GREATEST: Final = 1  # MinMaxOp
_MOST: Final = 50


def name_of(node: Any) -> str:
    return _figured(node, 0)[1] or "?column?"


def _figured(node: Any, depth: int) -> tuple[int, str]:
    """How good a name is (2: its own, 1: that of a type or of CASE, 0: none), and the name."""
    kind = node.WhichOneof("node")
    if kind is None or depth > _MOST:
        return 0, ""
    inner = getattr(node, kind)
    if kind == "column_ref":
        return _last(inner.fields)
    if kind == "func_call":
        return 2, inner.funcname[-1].string.sval
    if kind == "type_cast":
        strength, name = _figured(inner.arg, depth + 1)
        return (strength, name) if strength else (1, inner.type_name.names[-1].string.sval)
    if kind in _FIXED:
        return 2, _FIXED[kind]
    finder = _FINDERS.get(kind)
    return finder(inner, depth + 1) if finder else (0, "")


def _last(fields: Any) -> tuple[int, str]:
    for field in reversed(fields):
        if field.WhichOneof("node") == "string":
            return 2, field.string.sval
    return 0, ""


def _indirection(inner: Any, depth: int) -> tuple[int, str]:
    strength, name = _last(inner.indirection)
    return (strength, name) if strength else _figured(inner.arg, depth)


def _case(inner: Any, depth: int) -> tuple[int, str]:
    if inner.HasField("defresult"):
        strength, name = _figured(inner.defresult, depth)
        if strength > 1:
            return strength, name
    return 1, "case"


def _sub_link(inner: Any, depth: int) -> tuple[int, str]:
    if inner.sub_link_type == _EXISTS:
        return 2, "exists"
    if inner.sub_link_type == _ARRAY:
        return 2, "array"
    if inner.sub_link_type != _EXPR:
        return 0, ""
    select = inner.subselect.select_stmt
    for _ in range(_MOST):
        if select.op <= 1:
            break
        select = select.larg
    if len(select.values_lists):
        return 2, "column1"
    target = select.target_list[0].res_target if len(select.target_list) else None
    if target is None:
        return 2, "?column?"
    return 2, target.name or _figured(target.val, depth)[1] or "?column?"


def _operator(inner: Any, _depth: int) -> tuple[int, str]:
    return (2, "nullif") if inner.kind == _NULLIF else (0, "")


def _at(names: tuple[str, ...], number: int) -> tuple[int, str]:
    return (2, names[number]) if number < len(names) and names[number] else (0, "")


_FINDERS: Final[dict[str, Callable[[Any, int], tuple[int, str]]]] = {
    "a_indirection": _indirection,
    "collate_clause": lambda inner, depth: _figured(inner.arg, depth),
    "case_expr": _case,
    "sub_link": _sub_link,
    "a_expr": _operator,
    "min_max_expr": lambda inner, _: (2, "greatest" if inner.op == _GREATEST else "least"),
    "sqlvalue_function": lambda inner, _: _at(_SQL_VALUES, inner.op),
    "xml_expr": lambda inner, _: _at(_XML, inner.op),
    "json_func_expr": lambda inner, _: _at(_JSON, inner.op),
}
