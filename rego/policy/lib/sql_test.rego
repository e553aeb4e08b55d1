package extproc.lib.sql_test

import data.extproc.lib.sql

# A statement as the gateway describes it; `over` says what differs from `select 1`.
statement(over) := object.union(
	{
		"kind": "select",
		"tables": [],
		"writes": [],
		"columns": [],
		"functions": [],
		"where": false,
		"limit": null,
		"sure": true,
		"doubts": [],
		"via": [],
		"settings": [],
		"options": [],
	},
	over,
)

asked(statements) := {"sql": {
	"protocol": "simple",
	"step": "execute",
	"database": "shop",
	"user": "job",
	"fingerprint": "0123456789abcdef",
	"parameters": 0,
	"statements": [statement(over) | some over in statements],
}}

column(table, name, uses) := {"table": table, "column": name, "uses": uses}

function(name, volatility) := {"name": name, "volatility": volatility, "language": "internal", "dynamic": false}

customers := "public.customers"

orders := "public.orders"

scan := {"tables": [customers], "columns": [column(customers, "name", ["project"])]}

# --- nothing is allowed by silence

inputs_that_say_nothing := [{}, {"sql": {}}, {"sql": {"statements": [{}]}}, {"sql": {"statements": null}}, {"request": {"method": "GET"}}]

test_what_is_not_there_allows_nothing if {
	every document in inputs_that_say_nothing {
		not sql.sure with input as document
		not sql.reads_only with input as document
		not sql.only({"select"}) with input as document
		not sql.within({customers}) with input as document
		not sql.within_or_catalog({customers}) with input as document
		not sql.functions_within({"public.f"}) with input as document
		not sql.harmless_functions with input as document
		not sql.settings_within({"jit": []}) with input as document
		not sql.limit_at_most(10) with input as document
		not sql.catalog_reading with input as document
	}
}

test_a_statement_that_says_nothing_is_taken_for_a_whole_scan if {
	sql.whole_table with input as {"sql": {"statements": [{}]}}
}

# --- kinds

test_one_unsure_statement_makes_all_unsure if {
	sql.sure with input as asked([{}, {}])
	not sql.sure with input as asked([{}, {"sure": false}])
}

test_an_empty_query_string_is_sure_and_does_nothing if {
	sql.sure with input as asked([])
	sql.reads_only with input as asked([])
	not sql.catalog_reading with input as asked([])
}

test_only_looks_at_nested_statements_too if {
	sql.only({"select"}) with input as asked([{}, {"via": ["cte"]}])
	not sql.only({"select"}) with input as asked([{}, {"kind": "delete", "via": ["cte"]}])
}

test_kinds_and_doubts_are_named if {
	sql.kinds == {"select", "do"} with input as asked([{}, {"kind": "do"}])
	sql.doubts == {"a", "b"} with input as asked([{"doubts": ["a"]}, {"doubts": ["b", "a"]}])
}

test_reads_and_the_connections_state_are_reads_only if {
	every kind in sql.session_kinds | sql.wrapping_kinds {
		sql.reads_only with input as asked([{"kind": kind}, scan])
	}
	sql.reads_only with input as asked([{"kind": "copy", "options": ["stdout"]}])
}

test_writes_are_not_reads_only if {
	every kind in [
		"insert", "update", "delete", "merge", "truncate", "create_table", "create_table_as", "drop", "do", "call",
		"alter_table", "grant", "vacuum", "analyze", "lock", "listen", "notify", "load", "prepare_transaction",
		"refresh_materialized_view", "set_constraints", "something_new", "",
	] {
		not sql.reads_only with input as asked([{}, {"kind": kind}])
	}
}

test_a_select_that_writes_is_not_reads_only if {
	not sql.reads_only with input as asked([object.union(scan, {"writes": [customers]})])
	not sql.reads_only with input as asked([scan, {"via": ["function:public.purge"], "writes": [customers]}])
}

test_other_copies_are_not_reads_only if {
	every option in ["stdin", "file", "program"] {
		not sql.reads_only with input as asked([{"kind": "copy", "options": [option]}])
	}
	not sql.reads_only with input as asked([{"kind": "copy"}])
}

test_a_transaction_that_asks_to_write_is_not_reads_only if {
	every kind in ["begin", "set"] {
		not sql.reads_only with input as asked([{"kind": kind, "options": ["read_write"]}])
	}
}

# --- tables and columns

test_tables_and_writes_are_those_of_all_statements if {
	document := asked([{"tables": [customers]}, {"tables": [orders], "writes": [orders]}])
	sql.tables == {customers, orders} with input as document
	sql.writes == {orders} with input as document
	sql.touches({orders, "public.x"}) with input as document
	not sql.touches({"public.x"}) with input as document
}

test_within_is_for_sets_and_lists if {
	document := asked([{"tables": [customers]}, {"tables": [orders]}])
	sql.within({customers, orders}) with input as document
	sql.within([customers, orders]) with input as document
	not sql.within({customers}) with input as document
	not sql.within({"customers", "orders"}) with input as document
}

test_a_name_of_another_schema_is_another_table if {
	not sql.within({customers}) with input as asked([{"tables": ["stolen.customers"]}])
	not sql.within_or_catalog({customers}) with input as asked([{"tables": ["public.pg_class"]}])
	not sql.within_or_catalog({customers}) with input as asked([{"tables": [".customers"]}])
}

test_what_is_beyond_is_named if {
	document := asked([{"tables": [customers, "hr.staff"]}, {"tables": ["pg_catalog.pg_class", "pg_catalog.pg_stats"]}])
	sql.beyond([customers]) == {"hr.staff", "pg_catalog.pg_stats"} with input as document
}

test_uses_of_a_column if {
	document := asked([{"columns": [column(customers, "ssn", ["project", "predicate"]), column(orders, "ssn", ["order"])]}])
	sql.uses(customers, "ssn", "predicate") with input as document
	not sql.uses(customers, "ssn", "order") with input as document
	not sql.uses(orders, "ssn", "predicate") with input as document
}

# --- the catalogs

test_reading_the_catalogs if {
	sql.catalog_reading with input as asked([{"tables": ["pg_catalog.pg_class", "pg_catalog.pg_namespace"]}])
	sql.catalog_reading with input as asked([{"tables": ["information_schema.columns", "pg_catalog.pg_attribute"]}])
	not sql.catalog_reading with input as asked([{"tables": ["pg_catalog.pg_class", customers]}])
	not sql.catalog_reading with input as asked([{"tables": ["pg_catalog.pg_class"]}, scan])
	not sql.catalog_reading with input as asked([{"tables": ["pg_catalog.pg_class"]}, {"kind": "fetch"}])
	not sql.catalog_reading with input as asked([{}])
}

test_what_holds_data_or_secrets_is_no_catalog if {
	every table in [
		"pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data", "pg_catalog.pg_stats", "pg_catalog.pg_stats_ext",
		"pg_catalog.pg_stat_activity", "pg_catalog.pg_stat_user_tables", "pg_catalog.pg_statio_all_tables",
		"pg_catalog.pg_largeobject", "pg_catalog.pg_shadow", "pg_catalog.pg_user_mapping", "pg_catalog.pg_subscription",
		"pg_catalog.pg_locks", "pg_catalog.pg_prepared_xacts", "pg_catalog.pg_hba_file_rules", "pg_catalog.pg_new_in_19",
		"information_schema.user_mapping_options", "pg_toast.pg_toast_16384", "pg_temp_3.pg_class",
	] {
		not sql.catalog_reading with input as asked([{"tables": [table]}])
		not sql.within_or_catalog([]) with input as asked([{"tables": [table]}])
	}
}

test_columns_that_tell_of_values_are_statistics if {
	every name in ["reltuples", "relpages", "rolpassword", "attmissingval", "ctid", "xmin", "xmax"] {
		document := asked([{"tables": ["pg_catalog.pg_class"], "columns": [column("pg_catalog.pg_class", name, ["project"])]}])
		sql.statistics with input as document
		not sql.catalog_reading with input as document
	}
	sql.statistics with input as asked([{"tables": [customers], "columns": [column(customers, "ctid", ["predicate"])]}])
	sql.statistics with input as asked([{"tables": ["pg_catalog.pg_stats"]}])
	not sql.statistics with input as asked([{"tables": ["pg_catalog.pg_statistic_ext"]}, scan])
}

# --- how much comes back

test_a_scan_without_where_and_limit_is_a_whole_table if {
	sql.whole_table with input as asked([scan])
	sql.whole_table with input as asked([{"kind": "begin"}, object.union(scan, {"via": ["cursor"]})])
	not sql.whole_table with input as asked([object.union(scan, {"where": true})])
	not sql.whole_table with input as asked([object.union(scan, {"limit": 5000})])
	not sql.whole_table with input as asked([{}, {"kind": "show"}])
}

test_counting_rows_is_no_whole_table if {
	not sql.whole_table with input as asked([{"tables": [customers], "functions": [function("pg_catalog.count", "immutable")]}])
}

test_a_limit_counts_up_to_so_many_rows if {
	not sql.scans_beyond(100) with input as asked([object.union(scan, {"limit": 100})])
	sql.scans_beyond(100) with input as asked([object.union(scan, {"limit": 101})])
	sql.scans_beyond(100) with input as asked([object.union(scan, {"limit": null})])
}

test_an_aggregate_of_all_rows_is_not_limited_by_a_limit if {
	every name in ["string_agg", "array_agg", "json_agg", "jsonb_agg", "jsonb_object_agg_strict", "xmlagg"] {
		collected := {"limit": 1, "functions": [function(concat(".", ["pg_catalog", name]), "immutable")]}
		sql.scans_beyond(100) with input as asked([object.union(scan, collected)])
	}
	not sql.scans_beyond(100) with input as asked([object.union(scan, {"limit": 1, "functions": [function("pg_catalog.upper", "immutable")]})])
}

test_the_catalogs_may_be_scanned if {
	not sql.whole_table with input as asked([{"tables": ["pg_catalog.pg_type"], "columns": [column("pg_catalog.pg_type", "oid", ["project"])]}])
}

test_an_export_is_no_scan_but_what_stands_beside_it_is if {
	exported := object.union(scan, {"kind": "copy", "options": ["stdout"]})
	not sql.whole_table with input as asked([exported])
	not sql.whole_table with input as asked([{"kind": "copy", "options": ["stdout"]}, object.union(scan, {"via": ["copy"]})])
	sql.whole_table with input as asked([exported, scan])
}

test_limit_at_most if {
	sql.limit_at_most(10) with input as asked([object.union(scan, {"limit": 10}), {"kind": "begin"}])
	not sql.limit_at_most(10) with input as asked([object.union(scan, {"limit": 11})])
	not sql.limit_at_most(10) with input as asked([scan])
	not sql.limit_at_most(10) with input as asked([object.union(scan, {"limit": "1"})])
}

# --- other ways in and out

test_copies if {
	sql.exports with input as asked([{"kind": "copy", "options": ["stdout"]}])
	sql.copies_in with input as asked([{"kind": "copy", "options": ["stdin"]}])
	every option in ["program", "file"] {
		sql.starts_program with input as asked([{}, {"kind": "copy", "options": [option]}])
		not sql.exports with input as asked([{"kind": "copy", "options": [option]}])
	}
	not sql.starts_program with input as asked([{"kind": "copy", "options": ["stdout"]}])
}

test_what_is_found_by_kind if {
	sql.two_phase with input as asked([{"kind": "prepare_transaction"}])
	sql.two_phase with input as asked([{"kind": "commit_prepared"}])
	not sql.two_phase with input as asked([{"kind": "prepare"}, {"kind": "commit"}])
	sql.notifies with input as asked([{"kind": "notify"}])
	not sql.notifies with input as asked([{"kind": "unlisten"}])
	sql.replication with input as asked([{"kind": "create_subscription"}])
	sql.replication with input as asked([{"kind": "alter_publication"}])
}

test_what_is_found_by_function if {
	sql.large_objects with input as asked([{"functions": [function("pg_catalog.lo_get", "volatile")]}])
	sql.large_objects with input as asked([{"tables": ["pg_catalog.pg_largeobject"]}])
	not sql.large_objects with input as asked([{"functions": [function("pg_catalog.lower", "immutable"), function("pg_catalog.log", "immutable")]}])
	sql.notifies with input as asked([{"functions": [function("pg_catalog.pg_notify", "volatile")]}])
	every name in ["pg_create_logical_replication_slot", "pg_logical_slot_get_changes", "pg_replication_slot_advance", "pg_drop_replication_slot"] {
		sql.replication with input as asked([{"functions": [function(concat(".", ["pg_catalog", name]), "volatile")]}])
	}
	not sql.replication with input as asked([{"functions": [function("pg_catalog.now", "stable")]}])
}

# --- functions

harmless(f) if sql.harmless_functions with input as asked([{}, {"functions": [f]}])

test_what_computes_is_harmless if {
	every name in ["int4eq", "upper", "now", "count", "jsonb_path_query", "array_to_string", "to_regclass"] {
		every volatility in ["immutable", "stable"] { harmless(function(concat(".", ["pg_catalog", name]), volatility)) }
	}
	every name in ["random", "clock_timestamp", "gen_random_uuid", "uuidv7", "pg_advisory_unlock_all"] {
		harmless(function(concat(".", ["pg_catalog", name]), "volatile"))
	}
	every name in ["pg_get_expr", "pg_table_is_visible", "pg_get_indexdef", "pg_encoding_to_char"] {
		harmless(function(concat(".", ["pg_catalog", name]), "stable"))
	}
	harmless(function("information_schema._pg_expandarray", "immutable"))
}

test_what_looks_into_the_server_or_acts_is_not if {
	every name in [
		"pg_stat_get_live_tuples", "pg_relation_size", "pg_table_size", "pg_column_size", "pg_current_wal_lsn", "pg_ls_dir",
		"pg_read_file", "pg_sleep", "pg_terminate_backend", "pg_advisory_lock", "pg_notify", "nextval", "setval", "lo_get",
		"query_to_xml", "table_to_xml", "schema_to_xml_and_xmlschema", "set_config", "setseed", "bernoulli", "system",
		"pg_input_is_valid", "pg_new_in_19",
	] {
		every volatility in ["stable", "volatile", "unknown"] {
			not _checked(name, volatility)
		}
	}
}

# nextval and the like are volatile on every server; what looks into one is refused whatever it says of itself.
_checked(name, volatility) if {
	startswith(name, "pg_")
	harmless(function(concat(".", ["pg_catalog", name]), volatility))
}

_checked(name, volatility) if {
	volatility != "stable"
	harmless(function(concat(".", ["pg_catalog", name]), volatility))
}

_checked(name, "stable") if {
	contains(name, "_to_xml")
	harmless(function(concat(".", ["pg_catalog", name]), "stable"))
}

test_functions_of_others_are_not_harmless if {
	every name in ["public.upper", ".upper", "upper", "pg_catalogx.upper", "public.pg_catalog.upper"] {
		not harmless(function(name, "immutable"))
	}
}

test_a_dynamic_function_is_not_harmless_whatever_its_name if {
	every name in ["pg_catalog.upper", "pg_catalog.random", "pg_catalog.pg_get_expr"] {
		not harmless(object.union(function(name, "stable"), {"dynamic": true}))
	}
	not harmless({"name": "pg_catalog.upper", "volatility": "immutable"})
}

test_a_function_can_be_named if {
	document := asked([{"functions": [function("public.age_in_years", "volatile"), function("pg_catalog.upper", "immutable")]}])
	sql.functions_within({"public.age_in_years"}) with input as document
	not sql.functions_within({"public.age"}) with input as document
	sql.functions_beyond(["public.age"]) == {"public.age_in_years"} with input as document
}

test_volatile_and_dynamic_functions_are_found if {
	every volatility in ["volatile", "unknown"] {
		sql.calls_volatile with input as asked([{"functions": [function("public.f", volatility)]}])
	}
	not sql.calls_volatile with input as asked([{"functions": [function("public.f", "stable")]}])
	sql.calls_dynamic with input as asked([{"functions": [object.union(function("public.f", "stable"), {"dynamic": true})]}])
	not sql.calls_dynamic with input as asked([{"functions": [function("public.f", "stable")]}])
}

# --- settings

setting(name, value) := asked([{"kind": "set", "settings": [{"name": name, "value": value, "local": false}]}])

test_settings_by_name_and_value if {
	allowed := {"jit": [], "client_encoding": ["utf8"]}
	sql.settings_within(allowed) with input as setting("jit", "off")
	sql.settings_within(allowed) with input as setting("JIT", null)
	sql.settings_within(allowed) with input as setting("client_encoding", "UTF8")
	not sql.settings_within(allowed) with input as setting("client_encoding", "latin1")
	not sql.settings_within(allowed) with input as setting("client_encoding", null)
	not sql.settings_within(allowed) with input as setting("role", "postgres")
	not sql.settings_within(allowed) with input as setting("", null)
	sql.settings_within(allowed) with input as asked([{}])
	sql.settings == {"jit"} with input as setting("jit", "off")
}

test_names_in_a_reason_stay_short if {
	sql.listed({"b", "a"}) == "a, b"
	count(sql.listed([sprintf("table_%d", [n]) | some n in numbers.range(1, 1000)])) == 500
}
