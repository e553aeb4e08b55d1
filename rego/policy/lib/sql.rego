# SQL statements, for rules of one line each. What is asked is every statement of a query string, the nested ones too.
#
# Helpers that say what is allowed (sure, only, reads_only, within, limit_at_most, ..._within) are undefined where the
# input is not SQL or lacks something: nothing is allowed by silence. Helpers that find something (touches, uses, exports, ...)
# are undefined there as well: refuse with them, and ask for `sure` before you allow.
#
# The embedded engine makes every rule of this package once one of them is named through an imported package, and only that
# one where it is written in full: data.extproc.lib.sql.sure.

# METADATA
# scope: package
# schemas:
#   - input: schema.input
package extproc.lib.sql

import data.extproc.lib.sql_builtin

# --- kinds

# They change or show the state of the connection; with settings_within they are harmless.
session_kinds := {
	"begin", "close", "commit", "deallocate", "discard", "release", "reset", "rollback", "rollback_to", "savepoint",
	"set", "show", "unlisten",
}

# They run or prepare another statement, which stands in the list too.
wrapping_kinds := {"declare_cursor", "execute", "explain", "fetch", "move", "prepare"}

sure if every s in input.sql.statements { s.sure }

only(allowed) if every s in input.sql.statements { s.kind in allowed }

# Nothing writes, in a CTE, a function or a trigger either. COPY ... TO STDOUT reads; refuse or hold it with `exports`.
reads_only if every s in input.sql.statements {
	s.writes == []
	_reads(s)
}

_reads(s) if {
	s.kind == "select"
} else if {
	s.kind in session_kinds
	every option in s.options { option != "read_write" }
} else if {
	s.kind in wrapping_kinds
} else if {
	_exports(s)
}

kinds contains s.kind if some s in input.sql.statements

doubts contains doubt if {
	some s in input.sql.statements
	some doubt in s.doubts
}

# Names for a reason, which may have 2000 characters.
listed(names) := substring(concat(", ", names), 0, 500)

# --- tables and columns

# Base tables that are read or written, and the views on the way.
tables contains table if {
	some s in input.sql.statements
	some table in s.tables
}

writes contains table if {
	some s in input.sql.statements
	some table in s.writes
}

touches(names) if {
	some s in input.sql.statements
	some table in s.tables
	table in names
}

within(names) if every s in input.sql.statements {
	every table in s.tables { table in names }
}

within_or_catalog(names) if every s in input.sql.statements {
	every table in s.tables { _known(table, names) }
}

beyond(names) := {table |
	some s in input.sql.statements
	some table in s.tables
	not _known(table, names)
}

_known(table, names) if {
	table in names
} else if {
	sql_builtin.catalog(table)
}

# What a column is used for: project, predicate, order, group, join, argument or write.
uses(table, column, use) if {
	some s in input.sql.statements
	some c in s.columns
	c.table == table
	c.column == column
	use in c.uses
}

# Nothing is read but how the database is built, and something is: psql's \d, a driver that asks for types.
catalog_reading if {
	input.sql.statements != []
	every s in input.sql.statements {
		s.kind == "select"
		s.tables != []
		every table in s.tables { sql_builtin.catalog(table) }
	}
	not data.extproc.lib.sql.statistics
}

# What tells of stored values without showing them (statistics, places of rows), and passwords of the catalogs' own.
statistics if {
	some s in input.sql.statements
	some c in s.columns
	c.column in _telling
}

statistics if {
	some s in input.sql.statements
	some table in s.tables
	startswith(table, "pg_catalog.pg_stat")
	table != "pg_catalog.pg_statistic_ext" # a definition, not its data
}

# By name alone, so that the check is quick. System columns are in every table.
_telling := {
	"attmissingval", "cmax", "cmin", "ctid", "passwd", "relallfrozen", "relallvisible", "relfrozenxid", "relminmxid",
	"relpages", "reltuples", "rolpassword", "subconninfo", "umoptions", "xmax", "xmin",
}

# --- how much comes back

# Whatever reads a table has a constant limit. Without is_number a null would do: it is less than any number.
limit_at_most(rows) if every s in input.sql.statements { _limited(s, rows) }

_limited(s, rows) if {
	is_number(s.limit)
	s.limit <= rows
} else if {
	s.tables == []
}

# Some scan of a table has neither a condition nor a limit. An export does not count here.
whole_table if scans_beyond(1000000000000)

# Some scan of a table has no condition and brings back more than so many rows, be it in one aggregate.
scans_beyond(rows) if {
	some s in input.sql.statements
	not _bounded(s, rows)
}

_bounded(s, rows) if {
	s.where
} else if {
	s.columns == [] # no more of a row than that it is there: count(*)
} else if {
	_limited(s, rows)
	every f in s.functions { not sql_builtin.collects(f.name) }
} else if {
	every table in s.tables { sql_builtin.catalog(table) }
} else if {
	_exports(s)
} else if {
	"copy" in s.via
}

# --- what leaves or enters by another way than rows

exports if {
	some s in input.sql.statements
	_exports(s)
}

_exports(s) if {
	s.kind == "copy"
	"stdout" in s.options
}

copies_in if {
	some s in input.sql.statements
	s.kind == "copy"
	"stdin" in s.options
}

# COPY with a program or a file of the server's.
starts_program if {
	some s in input.sql.statements
	some option in s.options
	option in {"file", "program"}
}

notifies if {
	some s in input.sql.statements
	s.kind in {"listen", "notify"}
}

notifies if _calls(`^pg_catalog\.pg_notify$`)

two_phase if {
	some s in input.sql.statements
	s.kind in {"commit_prepared", "prepare_transaction", "rollback_prepared"}
}

large_objects if _calls(`^pg_catalog\.(lo_|loread$|lowrite$)`)

large_objects if {
	some s in input.sql.statements
	some table in s.tables
	startswith(table, "pg_catalog.pg_largeobject")
}

replication if _calls(`^pg_catalog\.pg_(replication_|logical_|drop_replication_|(create|copy)_(logical|physical)_)`)

replication if {
	some s in input.sql.statements
	regex.match(`_(publication|subscription)$`, s.kind)
}

_calls(pattern) if {
	some s in input.sql.statements
	some f in s.functions
	regex.match(pattern, f.name)
}

# --- functions

# Nothing is called but what computes something from its arguments alone: lib/sql_builtin says which.
harmless_functions if functions_within(set())

# Nothing is called but harmless functions and what is named, e.g. "public.age_in_years".
functions_within(allowed) if every s in input.sql.statements {
	every f in s.functions { _callable(f, allowed) }
}

functions_beyond(allowed) := {f.name |
	some s in input.sql.statements
	some f in s.functions
	not _callable(f, allowed)
}

_callable(f, allowed) if {
	sql_builtin.harmless(f)
} else if {
	f.name in allowed
}

calls_volatile if {
	some s in input.sql.statements
	some f in s.functions
	not f.volatility in {"immutable", "stable"}
}

calls_dynamic if {
	some s in input.sql.statements
	some f in s.functions
	f.dynamic
}

# --- settings

# `allowed` has a list of values in lower case for each name; an empty list is for any value, known or not.
settings_within(allowed) if every s in input.sql.statements {
	every setting in s.settings { _setting(setting, allowed) }
}

_setting(setting, allowed) if {
	allowed[lower(setting.name)] == []
} else if {
	is_string(setting.value)
	lower(setting.value) in allowed[lower(setting.name)]
}

settings contains setting.name if {
	some s in input.sql.statements
	some setting in s.settings
}
