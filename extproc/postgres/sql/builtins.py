"""What is built into PostgreSQL 18 that the catalog does not carry: names of operators and of functions' columns."""

from __future__ import annotations

from typing import Final

BUILT_IN_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema"})
OPERATORS: Final = frozenset(
    """
    !! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> << <<= <<| <= <>
    <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~ ~>~
    ~~ ~~* !=
    """.split()  # noqa: SIM905
)
# Columns by name of built-in functions in FROM, where these are not the function's own name.
OUTPUTS: Final[dict[str, tuple[str, ...]]] = {
    "aclexplode": ("grantor", "grantee", "privilege_type", "is_grantable"),
    "json_array_elements": ("value",),
    "json_array_elements_text": ("value",),
    "json_each": ("key", "value"),
    "json_each_text": ("key", "value"),
    "jsonb_array_elements": ("value",),
    "jsonb_array_elements_text": ("value",),
    "jsonb_each": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
    "pg_available_extensions": ("name", "default_version", "comment"),
    "pg_get_keywords": ("word", "catcode", "barelabel", "catdesc", "baredesc"),
    "pg_get_object_address": ("classid", "objid", "objsubid"),
    "pg_get_sequence_data": ("last_value", "is_called"),
    "pg_identify_object": ("type", "schema", "name", "identity"),
    "pg_input_error_info": ("message", "detail", "hint", "sql_error_code"),
    "pg_options_to_table": ("option_name", "option_value"),
    "pg_partition_ancestors": ("relid",),
    "pg_partition_tree": ("relid", "parentrelid", "isleaf", "level"),
    "pg_sequence_parameters": (
        "start_value",
        "minimum_value",
        "maximum_value",
        "increment",
        "cycle_option",
        "cache_size",
        "data_type",
    ),
    "pg_timezone_names": ("name", "abbrev", "utc_offset", "is_dst"),
    "ts_debug": ("alias", "description", "token", "dictionaries", "dictionary", "lexemes"),
    "ts_parse": ("tokid", "token"),
    "ts_token_type": ("tokid", "alias", "description"),
    "_pg_expandarray": ("x", "n"),
}
POLYMORPHIC: Final = frozenset(
    {2276, 2277, 2283, 2776, 5077, 5078, 5079}
)  # "any", anyarray, anyelement … (pg_type.dat)
RECORD: Final = 2249
VOID: Final = 2278
TRIGGER: Final = 2279
EVENT_TRIGGER: Final = 3838
NO_RESULT: Final = frozenset({VOID, TRIGGER, EVENT_TRIGGER})
TEXTS: Final = frozenset({25, 1043})  # text and varchar: a cast to them without a length shows the value as it is
SYSTEM_COLUMNS: Final = {"ctid": -1, "xmin": -2, "cmin": -3, "xmax": -4, "cmax": -5, "tableoid": -6}  # sysattr.h
SYSTEM_TYPES: Final = {-1: 27, -2: 28, -3: 29, -4: 28, -5: 29, -6: 26}  # tid, xid, cid, oid
SAMPLING: Final = frozenset({"bernoulli", "system"})
