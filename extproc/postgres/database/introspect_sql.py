"""
What introspect.py asks a server: PostgreSQL 14 or later, any role (PostgreSQL documentation, "System Catalogs").

No name and no operator is looked up by search_path, so nothing can stand in front of what is meant. What initdb made
has OIDs below 16384 (FirstNormalObjectId) and is the same on every server of a release; all else is the database's own.
"""

from __future__ import annotations

import re
from typing import Final

_OPERATOR: Final = re.compile(r" (=|<>|>=|<|>) ")
_BUILT_IN: Final = "< '16384'::pg_catalog.oid"
_OWN: Final = ">= '16384'::pg_catalog.oid"
_KINDS: Final = "c.relkind = ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[])"
# Other connections' temporary tables cannot be used from this one.
_SEEN: Final = "(c.relpersistence <> 't'::pg_catalog.\"char\" OR c.relnamespace = pg_catalog.pg_my_temp_schema())"


def _sql(text: str, **parts: str) -> str:
    """Names the operators' schema, which would make the texts hard to read here."""
    for name, part in parts.items():
        text = text.replace(f"${name}", part)
    return _OPERATOR.sub(r" OPERATOR(pg_catalog.\1) ", " ".join(text.split()))


_SESSION: Final = """
    pg_catalog.current_setting('server_version_num'), pg_catalog.current_database(), current_user,
    pg_catalog.array_to_json(pg_catalog.current_schemas(true)), pg_catalog.current_setting('server_version')"""

_RELATIONS: Final = """
    SELECT c.oid, n.nspname, c.relname, c.relkind, a.columns,
        CASE WHEN c.relkind = ANY ('{v,m}'::pg_catalog."char"[]) THEN pg_catalog.pg_get_viewdef(c.oid) END,
        CASE WHEN c.relhastriggers THEN (
            SELECT pg_catalog.array_agg(DISTINCT t.tgfoid) FROM pg_catalog.pg_trigger t
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'::pg_catalog."char") END,
        c.relhasrules AND EXISTS (
            SELECT FROM pg_catalog.pg_rewrite r
            WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'::pg_catalog.name),
        k.cascades,
        (SELECT pg_catalog.array_agg(i.inhparent ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i
            WHERE i.inhrelid = c.oid)
    FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN (
            SELECT a.attrelid, pg_catalog.json_agg(
                pg_catalog.json_build_array(a.attname, a.attnum, a.atttypid) ORDER BY a.attnum) AS columns
            FROM pg_catalog.pg_attribute a
            WHERE a.attrelid $which AND a.attnum > '0'::pg_catalog.int2 AND NOT a.attisdropped
            GROUP BY a.attrelid
        ) a ON a.attrelid = c.oid
        LEFT JOIN (
            SELECT f.confrelid, pg_catalog.array_agg(DISTINCT f.conrelid) AS cascades
            FROM pg_catalog.pg_constraint f
            WHERE f.contype = 'f'::pg_catalog."char" AND (
                f.confdeltype = ANY ('{c,n,d}'::pg_catalog."char"[])
                OR f.confupdtype = ANY ('{c,n,d}'::pg_catalog."char"[]))
            GROUP BY f.confrelid
        ) k ON k.confrelid = c.oid
    WHERE c.oid $which AND $kinds AND $seen
    ORDER BY c.oid"""
# A body is read where it is parsed: of user-defined functions in sql and plpgsql. An aggregate does what its support
# functions do, so it counts as the most volatile of them, and as written in what is neither C nor built in.
_FUNCTIONS: Final = """
    SELECT p.oid, n.nspname, p.proname, p.prokind, p.pronargs, p.pronargdefaults, p.provariadic,
        COALESCE(s.volatility, p.provolatile::pg_catalog.text), COALESCE(s.language, l.lanname::pg_catalog.text),
        p.prorettype, $bodies,
        p.prosecdef, pg_catalog.array_to_json(p.proconfig), e.extname
    FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        LEFT JOIN pg_catalog.pg_depend d ON d.classid = '1255'::pg_catalog.oid AND d.objid = p.oid
            AND d.deptype = 'e'::pg_catalog."char"
        LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        LEFT JOIN (
            SELECT g.aggfnoid, pg_catalog.max(f.provolatile::pg_catalog.text) AS volatility,
                pg_catalog.min(m.lanname::pg_catalog.text) FILTER (
                    WHERE m.lanname <> ALL ('{c,internal}'::pg_catalog.name[])) AS language
            FROM pg_catalog.pg_aggregate g
                JOIN pg_catalog.pg_proc f ON f.oid = ANY (ARRAY[
                    g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn,
                    g.aggminvtransfn, g.aggmfinalfn]::pg_catalog.oid[])
                JOIN pg_catalog.pg_language m ON m.oid = f.prolang
            WHERE g.aggfnoid $which
            GROUP BY g.aggfnoid
        ) s ON s.aggfnoid = p.oid
    WHERE p.oid $which AND NOT pg_catalog.pg_is_other_temp_schema(p.pronamespace)
    ORDER BY p.oid"""
_BODIES: Final = """
    CASE WHEN l.lanname = ANY ('{sql,plpgsql}'::pg_catalog.name[]) THEN
        CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_catalog.pg_get_function_sqlbody(p.oid) END END,
    CASE WHEN l.lanname = ANY ('{sql,plpgsql}'::pg_catalog.name[]) THEN pg_catalog.pg_get_functiondef(p.oid) END"""
_TYPES: Final = """
    SELECT t.oid, n.nspname, t.typname, t.typtype, t.typcategory,
        CASE WHEN t.typsubscript = '6179'::pg_catalog.regproc THEN t.typelem END,
        t.typbasetype, t.typrelid
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid $which AND NOT pg_catalog.pg_is_other_temp_schema(t.typnamespace)
    ORDER BY t.oid"""
_OPERATORS: Final = """
    SELECT n.nspname, o.oprname, o.oprcode::pg_catalog.oid
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
    WHERE o.oid $which ORDER BY o.oid"""
_CASTS: Final = """
    SELECT x.castsource, x.casttarget, x.castfunc FROM pg_catalog.pg_cast x WHERE x.oid $which ORDER BY x.oid"""
_EVENT_TRIGGERS: Final = """
    SELECT v.evtname, v.evtevent, v.evtfoid FROM pg_catalog.pg_event_trigger v
    WHERE v.evtenabled <> 'D'::pg_catalog."char" ORDER BY v.oid"""

# A row that is written anew is another tuple (ctid) or of another transaction (xmin); ANALYZE and VACUUM change
# neither. The order in which rows are found must not matter, as plans change. The time at which the server was started
# tells servers apart that went through the same steps.
_STAMPS: Final = """pg_catalog.concat(pg_catalog.count(*), ' ',
    pg_catalog.bit_xor(pg_catalog.hash_record_extended(ROW(t.ctid, t.xmin), '0'::pg_catalog.int8)))"""
_LOOK: Final = """
    WITH own AS MATERIALIZED (
        SELECT c.oid, c.ctid, c.xmin FROM pg_catalog.pg_class c WHERE c.oid $which AND $kinds AND $seen)
    SELECT $session,
        pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), 'hex'),
        (SELECT $stamps FROM own t),
        (SELECT $stamps FROM pg_catalog.pg_attribute t
            WHERE t.attrelid = ANY (ARRAY(SELECT own.oid FROM own)) AND t.attnum > '0'::pg_catalog.int2),
        (SELECT $stamps FROM pg_catalog.pg_trigger t JOIN own ON own.oid = t.tgrelid),
        (SELECT $stamps FROM pg_catalog.pg_rewrite t JOIN own ON own.oid = t.ev_class),
        (SELECT $stamps FROM pg_catalog.pg_inherits t JOIN own ON own.oid = t.inhrelid),
        (SELECT $stamps FROM pg_catalog.pg_constraint t JOIN own ON own.oid = t.conrelid
            WHERE t.contype = 'f'::pg_catalog."char"),
        (SELECT $stamps FROM pg_catalog.pg_proc t
            WHERE t.oid $which AND NOT pg_catalog.pg_is_other_temp_schema(t.pronamespace)),
        (SELECT $stamps FROM pg_catalog.pg_type t
            WHERE t.oid $which AND NOT pg_catalog.pg_is_other_temp_schema(t.typnamespace)),
        (SELECT $stamps FROM pg_catalog.pg_namespace t
            WHERE t.oid $which AND NOT pg_catalog.pg_is_other_temp_schema(t.oid)),
        (SELECT $stamps FROM pg_catalog.pg_operator t WHERE t.oid $which),
        (SELECT $stamps FROM pg_catalog.pg_cast t WHERE t.oid $which),
        (SELECT $stamps FROM pg_catalog.pg_language t WHERE t.oid $which),
        (SELECT $stamps FROM pg_catalog.pg_extension t WHERE t.oid $which),
        (SELECT $stamps FROM pg_catalog.pg_event_trigger t)"""


def _parts(which: str, bodies: str) -> tuple[str, ...]:
    parts = {"bodies": bodies, "kinds": _KINDS, "seen": _SEEN, "which": which}
    return tuple(_sql(text, **parts) for text in (_RELATIONS, _FUNCTIONS, _TYPES, _OPERATORS, _CASTS, _EVENT_TRIGGERS))


LOOK: Final = _sql(_LOOK, session=_SESSION, stamps=_STAMPS, kinds=_KINDS, seen=_SEEN, which=_OWN)
OWN: Final = _parts(_OWN, _BODIES)
BUILT_IN: Final = _parts(_BUILT_IN, "NULL, NULL")
# With this search path definitions are printed with the names of all schemas but pg_catalog. Printing a view takes a
# lock on it and on what it reads, for which a connection should not wait long.
PRINTING: Final = (
    "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
    "pg_catalog.set_config('lock_timeout', '3s', true)"
)
