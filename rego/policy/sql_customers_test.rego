package extproc.sql_customers_test

import data.extproc
import data.extproc.lib.sql_test

claims := {"repository": "acme/billing", "event_name": "push", "actor": "octocat"}

# A question about these statements; each says what differs from `select 1`.
asked(statements) := object.union(sql_test.asked(statements), {
	"version": 1,
	"phase": "request",
	"identity": {"issuer": "https://issuer", "kind": "job", "claims": claims},
	"resource": {"name": "customers-db", "kind": "postgres", "labels": {"data": "customers"}},
})

rule(statements) := d.rule if d := extproc.decision with input as asked(statements)

action(statements) := d.action if d := extproc.decision with input as asked(statements)

customers := "public.customers"

project(names) := [sql_test.column(customers, name, ["project"]) | some name in names]

scan := {"tables": [customers], "columns": project(["id", "name", "email"])}

read := object.union(scan, {"where": true})

from_catalog(name) := {"tables": [name], "columns": [sql_test.column(name, "oid", ["project"])]}

calls(name, volatility) := object.union(read, {"functions": [sql_test.function(name, volatility)]})

# --- what a job may do

test_a_read_with_a_condition_is_allowed_masked_and_limited if {
	d := extproc.decision with input as asked([read])
	d.action == "allow"
	d.rule == "customers.read"
	d.limits.rows == 1000
	{"ssn", "card_number", "email"} == {name | some name in d.redact[_].columns}
	"credit_card" in d.redact[_].detect
}

test_masked_columns_may_be_used_for_nothing_else if {
	d := extproc.decision with input as asked([read])
	every masked in d.redact { not masked.uses }
}

test_parsing_is_answered_as_running_is if {
	every statements in [[read], [scan], [{"kind": "copy", "tables": [customers], "options": ["stdout"]}], [{"kind": "drop"}]] {
		document := asked(statements)
		prepared := object.union(document, {"sql": {"step": "prepare", "protocol": "extended"}})
		run := extproc.decision with input as document
		parsed := extproc.decision with input as prepared
		run == parsed
	}
}

test_a_few_rows_need_no_condition if {
	rule([object.union(scan, {"limit": 100})]) == "customers.read"
	rule([object.union(scan, {"limit": 101})]) == "customers.whole_table"
}

test_counting_is_allowed if {
	rule([{"tables": [customers], "functions": [sql_test.function("pg_catalog.count", "immutable")]}]) == "customers.read"
}

test_a_whole_table_is_refused_however_it_is_asked_for if {
	rule([scan]) == "customers.whole_table"
	rule([{"kind": "begin"}, {"kind": "declare_cursor"}, object.union(scan, {"via": ["cursor"]})]) == "customers.whole_table"
	rule([{"kind": "prepare"}, object.union(scan, {"via": ["prepare"]})]) == "customers.whole_table"
	rule([{"kind": "fetch"}, object.union(scan, {"via": ["fetch", "cursor"]})]) == "customers.whole_table"
	rule([{"tables": ["public.orders"], "columns": [sql_test.column("public.orders", "id", ["project"])]}]) == "customers.whole_table"
}

test_the_connections_state_is_the_jobs_own if {
	every kind in [
		"begin", "commit", "rollback", "savepoint", "release", "rollback_to", "show", "reset", "discard", "close", "deallocate",
		"unlisten", "execute", "fetch", "move",
	] {
		action([{"kind": kind}]) == "allow"
	}
}

test_cursors_and_prepared_statements_over_allowed_reads_are_allowed_and_limited if {
	every kind in ["declare_cursor", "prepare", "execute", "fetch"] {
		d := extproc.decision with input as asked([{"kind": kind}, object.union(read, {"via": [kind]})])
		d.action == "allow"
		d.limits.rows == 1000
	}
}

test_an_empty_query_string_is_a_drivers_ping if {
	action([]) == "allow"
}

# --- what drivers ask when they start, and psql's \d

test_drivers_start if {
	action([{"functions": [sql_test.function("pg_catalog.version", "stable")]}]) == "allow"
	action([{"functions": [sql_test.function("pg_catalog.current_schema", "stable")]}]) == "allow"
	action([{"kind": "show"}]) == "allow"
	action([{"functions": [sql_test.function("pg_catalog.pg_advisory_unlock_all", "volatile")]}, {"kind": "close"}, {"kind": "unlisten"}, {"kind": "reset"}]) == "allow"
	every given in [["extra_float_digits", "3"], ["application_name", "x"], ["timezone", "UTC"], ["client_encoding", "UTF8"], ["standard_conforming_strings", "on"], ["client_min_messages", "warning"], ["transaction_isolation", "serializable"]] {
		action([{"kind": "set", "settings": [{"name": given[0], "value": given[1], "local": false}]}]) == "allow"
	}
	action([{
		"settings": [{"name": "jit", "value": null, "local": false}],
		"functions": [sql_test.function("pg_catalog.set_config", "volatile")],
	}]) == "allow"
}

test_the_catalogs_are_open_without_a_limit_of_rows if {
	every name in [
		"pg_catalog.pg_class", "pg_catalog.pg_type", "pg_catalog.pg_namespace", "pg_catalog.pg_index", "pg_catalog.pg_proc",
		"pg_catalog.pg_statistic_ext", "pg_catalog.pg_roles", "pg_catalog.pg_settings", "information_schema.tables",
	] {
		d := extproc.decision with input as asked([from_catalog(name)])
		d.rule == "sql.catalog"
		not d.limits
	}
}

test_a_cursor_does_not_take_the_limit_off if {
	d := extproc.decision with input as asked([from_catalog("pg_catalog.pg_class"), {"kind": "fetch"}])
	d.limits.rows == 1000
}

# --- what tells of masked values without showing them

test_statistics_are_refused if {
	every name in ["pg_catalog.pg_statistic", "pg_catalog.pg_stats", "pg_catalog.pg_stat_user_tables", "pg_catalog.pg_statio_user_tables"] {
		rule([from_catalog(name)]) == "sql.statistics"
	}
	every name in ["reltuples", "relpages", "rolpassword"] {
		rule([{"tables": ["pg_catalog.pg_class"], "columns": [sql_test.column("pg_catalog.pg_class", name, ["project"])]}]) == "sql.statistics"
	}
	every name in ["ctid", "xmin"] {
		rule([object.union(read, {"columns": [sql_test.column(customers, name, ["predicate"])]})]) == "sql.statistics"
	}
}

test_functions_that_tell_are_refused if {
	every name in [
		"pg_catalog.pg_relation_size", "pg_catalog.pg_column_size", "pg_catalog.pg_stat_get_live_tuples",
		"pg_catalog.pg_current_wal_lsn", "pg_catalog.query_to_xml", "pg_catalog.bernoulli",
	] {
		rule([calls(name, "volatile")]) == "sql.function"
	}
}

test_plans_are_refused_but_of_the_catalogs if {
	rule([{"kind": "explain"}, object.union(read, {"via": ["explain"]})]) == "sql.explain"
	rule([object.union(read, {"kind": "explain"})]) == "sql.explain"
	rule([{"kind": "explain"}, {"kind": "execute", "via": ["explain"]}]) == "sql.explain"
	rule([{"kind": "explain", "options": ["analyze"]}, object.union(from_catalog("pg_catalog.pg_class"), {"via": ["explain"]})]) == "sql.explain"
	action([{"kind": "explain"}, object.union(from_catalog("pg_catalog.pg_class"), {"via": ["explain"]})]) == "allow"
	action([{"kind": "explain"}, {"via": ["explain"]}]) == "allow"
}

test_notices_of_the_server_stay_off if {
	every value in ["debug1", "debug5", "log", "info", null] {
		rule([{"kind": "set", "settings": [{"name": "client_min_messages", "value": value, "local": false}]}]) == "sql.setting"
	}
}

# --- what writes, runs something else, or is not sure

test_whatever_is_unsure_is_refused_with_its_doubts if {
	d := extproc.decision with input as asked([object.union(read, {"sure": false, "doubts": ["unknown table x"]})])
	d.rule == "sql.unsure"
	contains(d.reason, "unknown table x")
	rule([read, {"sure": false, "via": ["do"]}]) == "sql.unsure"
}

test_writes_are_refused if {
	every kind in ["insert", "update", "delete", "merge", "truncate"] {
		rule([{"kind": kind, "tables": [customers], "writes": [customers], "where": true}]) == "sql.read_only"
		rule([read, {"kind": kind, "tables": [customers], "writes": [customers], "where": true, "via": ["cte"]}]) == "sql.read_only"
	}
	rule([object.union(read, {"writes": [customers]})]) == "sql.read_only"
}

test_ddl_blocks_and_the_like_are_refused if {
	every kind in ["drop", "create_table", "create_table_as", "do", "call", "grant", "lock", "listen", "notify", "vacuum", "analyze", "load", "prepare_transaction", "commit_prepared", "create_subscription"] {
		rule([{"kind": kind}]) == "sql.read_only"
	}
	rule([{"kind": "begin", "options": ["read_write"]}]) == "sql.read_only"
}

test_other_tables_are_refused_by_name if {
	d := extproc.decision with input as asked([object.union(read, {"tables": [customers, "hr.staff"]})])
	d.rule == "sql.table"
	contains(d.reason, "hr.staff")
	not contains(d.reason, customers)
	every name in ["pg_catalog.pg_largeobject", "pg_catalog.pg_shadow", "pg_catalog.pg_locks", "stolen.customers"] {
		rule([object.union(read, {"tables": [name]})]) == "sql.table"
	}
}

test_other_functions_are_refused_by_name if {
	d := extproc.decision with input as asked([calls("public.purge", "volatile")])
	d.rule == "sql.function"
	contains(d.reason, "public.purge")
	every name in ["pg_catalog.pg_read_file", "pg_catalog.lo_get", "pg_catalog.pg_sleep", "pg_catalog.nextval", "pg_catalog.pg_notify", "public.dblink"] {
		rule([calls(name, "volatile")]) == "sql.function"
	}
}

test_other_settings_are_refused_by_name if {
	every name in ["role", "session_authorization", "row_security", "work_mem", "debug_print_plan", "my.own", ""] {
		rule([{"kind": "set", "settings": [{"name": name, "value": "x", "local": false}]}]) == "sql.setting"
	}
	rule([{"kind": "set", "settings": [{"name": "transaction_read_only", "value": "off", "local": true}]}]) == "sql.setting"
}

test_a_reason_has_at_most_2000_characters if {
	many := [sprintf("public.%s_%d", [concat("", [letter | some _ in numbers.range(1, 50); letter := "x"]), n]) | some n in numbers.range(1, 200)]
	d := extproc.decision with input as asked([{"tables": many, "doubts": many, "sure": false}])
	d.action == "deny"
	count(d.reason) < 2000
}

# --- exports

exported := object.union(scan, {"kind": "copy", "options": ["stdout"]})

test_an_export_is_held_and_masked if {
	every statements in [[exported], [{"kind": "copy", "options": ["stdout"]}, object.union(scan, {"via": ["copy"]})]] {
		d := extproc.decision with input as asked(statements)
		d.action == "hold"
		d.rule == "customers.export"
		d.hold.approvers == ["group:data-owners"]
		d.hold.grant == "once"
		"ssn" in d.redact[_].columns
	}
}

test_an_export_hides_nothing_that_stands_beside_it if {
	rule([exported, scan]) == "customers.whole_table"
	rule([exported, {"kind": "drop"}]) == "sql.read_only"
	rule([object.union(exported, {"tables": ["hr.staff"]})]) == "sql.table"
	rule([{"kind": "copy", "options": ["stdout"]}, object.union(calls("public.purge", "volatile"), {"via": ["copy"]})]) == "sql.function"
}

test_copies_to_and_from_elsewhere_are_refused if {
	every option in ["stdin", "program", "file"] {
		rule([object.union(exported, {"options": [option]})]) == "sql.read_only"
	}
}

# --- who, and where

test_a_pull_request_and_a_stranger_get_nothing if {
	pull := object.union(asked([read]), {"identity": {"claims": {"event_name": "pull_request"}}})
	d := extproc.decision with input as pull
	d.rule == "job.pull_request"
	stranger := object.union(asked([read]), {"identity": {"claims": {"repository": "eve/evil"}}})
	e := extproc.decision with input as stranger
	e.rule == "job.unknown_repository"
}

test_a_database_without_the_label_is_closed if {
	other := object.union(asked([read]), {"resource": {"labels": {"data": "payroll"}}})
	d := extproc.decision with input as other
	d.rule == "default.closed"
}

test_sql_that_is_not_described_is_refused if {
	every described in [{}, {"sql": {}}, {"sql": {"statements": [{}]}}] {
		document := object.union(object.remove(asked([]), ["sql"]), described)
		d := extproc.decision with input as document
		d.action == "deny"
	}
}

test_nothing_changes_in_the_answer_when_the_result_is_looked_at if {
	looked := object.union(asked([read]), {"phase": "response", "response": {"columns": [{"name": "id", "type": "int4"}]}})
	d := extproc.decision with input as looked
	d.rule == "customers.read"
}
