"""What a write to a relation brings with it: the tables behind a view, triggers, cascades, rules."""

from __future__ import annotations

from extproc.postgres.catalog import Relation
from extproc.postgres.sql.calls import run_function
from extproc.postgres.sql.frame import Frame
from extproc.postgres.sql.relations import base_of


def written(relation: Relation, frame: Frame, *, cascades: bool = False) -> None:
    """`cascades`: rows may be removed or their keys changed, so that foreign keys change other tables."""
    known = frame.run.known
    waiting, seen = [relation], set[int]()
    while waiting:
        for one in base_of(frame.run, waiting.pop(), frame):
            if one.oid in seen:
                continue
            seen.add(one.oid)
            frame.run.spend(1)
            frame.name_table(one.qualified, written=True)
            if one.ruled:
                frame.doubt(f"rules on {one.qualified}")
            for oid in one.triggers:
                _triggered(oid, one, frame)
            for oid in one.cascades if cascades else ():
                other = known.catalog.relations_by_oid.get(oid)
                if other is None:
                    frame.doubt(f"unknown table behind a foreign key of {one.qualified}")
                else:
                    waiting.append(other)


def _triggered(oid: int, relation: Relation, frame: Frame) -> None:
    function = frame.run.known.catalog.functions_by_oid.get(oid)
    if function is None:
        frame.doubt(f"unknown trigger function on {relation.qualified}")
    else:
        run_function(function, frame, "trigger")


def new_name(schema: str, name: str, frame: Frame, *, temporary: bool = False) -> str:
    """Where a relation that is created comes to be."""
    if temporary or schema == "pg_temp":
        return f"pg_temp.{name}"
    if schema:
        return f"{schema}.{name}"
    first = next((one for one in frame.path if one != "pg_catalog" and not one.startswith("pg_temp")), "")
    return f"{first}.{name}"
