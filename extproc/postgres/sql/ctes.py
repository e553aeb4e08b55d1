"""WITH queries (PostgreSQL docs, 7.8)."""

from __future__ import annotations

from typing import Any, Final

from extproc.postgres.sql.kinds import kind_of
from extproc.postgres.sql.lineage import GROUP, ORDER, UNSURE, Rows, Value, everything, mixed, named
from extproc.postgres.sql.parse import inner
from extproc.postgres.sql.scope import Cte, Scope

_UNION: Final = 2


def bind(clause: Any, scope: Scope) -> None:
    """
    Make a WITH clause's names known to a query and all within it. Without RECURSIVE a query sees those before it only;
    all are worked out, as a function or a write in one that nothing refers to may still run.
    """
    ctes = dict(scope.ctes)
    scope.frame.run.spend(len(ctes) + len(clause.ctes))
    scope.ctes = ctes
    nodes = [one.common_table_expr for one in clause.ctes]
    if clause.recursive:
        made = [Cte(node, Scope(scope.frame, scope.parent, ctes)) for node in nodes]
        ctes.update(zip((node.ctename for node in nodes), made, strict=True))
        for cte in made:
            rows_of(cte)
        return
    for node in nodes:
        cte = Cte(node, Scope(scope.frame, scope.parent, dict(ctes)))
        scope.frame.run.spend(len(ctes))
        rows_of(cte)
        ctes[node.ctename] = cte


def rows_of(cte: Cte) -> Rows:
    if cte.done and cte.rows is not None:
        return cte.rows
    if cte.running:  # it names itself
        cte.referred = True
        if cte.rows is None:
            cte.scope.frame.doubt(f"recursion in {cte.node.ctename} that is no UNION")
            return Rows((), known=False, rest=UNSURE)
        return cte.rows
    cte.running = True
    rows = _worked_out(cte)
    cte.rows, cte.done, cte.running = _with_added(cte, rows), True, False
    return cte.rows


def _worked_out(cte: Cte) -> Rows:
    frame = cte.scope.frame
    query = inner(cte.node.ctequery)
    names = [one.string.sval for one in cte.node.aliascolnames]
    if type(query).__name__ != "SelectStmt":
        return named(frame.run.writing(query, frame.child(kind_of(query), "cte"), cte.scope), names)
    if query.op == _UNION and cte.scope.ctes.get(cte.node.ctename) is cte:
        return _recursive(cte, query, names)
    return named(frame.run.query(query, _fresh(cte)), names)


def _recursive(cte: Cte, query: Any, names: list[str]) -> Rows:
    """
    What the first branch gives is what the second starts from. If the second adds to a column, any column may in the
    end hold anything.
    """
    run = cte.scope.frame.run
    first = named(run.query(query.larg, _fresh(cte)), names)
    cte.rows = _with_added(cte, first)
    rows = named(run.query(query, _fresh(cte)), names)
    if not cte.referred or _same(first, rows):
        return rows
    every = everything(rows)
    spread = Rows(tuple((name, every) for name, _ in rows.columns), rows.known, every)
    cte.rows = _with_added(cte, spread)
    run.query(query, _fresh(cte))
    return spread


def _same(first: Rows, rows: Rows) -> bool:
    pairs = zip(first.columns, rows.columns, strict=False)
    return (
        first.known
        and rows.known
        and all(one.origins == other.origins and one.direct == other.direct for (_, one), (_, other) in pairs)
    )


def _fresh(cte: Cte) -> Scope:
    return Scope(cte.scope.frame, cte.scope.parent, cte.scope.ctes)


def _with_added(cte: Cte, rows: Rows) -> Rows:
    """SEARCH and CYCLE add columns that are made of those they name."""
    frame, node = cte.scope.frame, cte.node
    added: list[tuple[str, Value]] = []
    if node.HasField("search_clause"):
        clause = node.search_clause
        value = _of(rows, clause.search_col_list)
        frame.use(value, ORDER)
        added.append((clause.search_seq_column, value))
    if node.HasField("cycle_clause"):
        clause = node.cycle_clause
        value = _of(rows, clause.cycle_col_list)
        frame.use(value, GROUP)
        added += [(clause.cycle_mark_column, value), (clause.cycle_path_column, value)]
    return Rows((*rows.columns, *added), rows.known, rows.rest) if added else rows


def _of(rows: Rows, names: Any) -> Value:
    wanted = {one.string.sval for one in names}
    return mixed([*(value for name, value in rows.columns if name in wanted), rows.rest])
