# Customers over SQL: a PostgreSQL database with the label `data: customers`. Plain reads of the tables that data.json
# names, a few rows at a time; whole tables leave by COPY ... TO STDOUT, after a data owner's yes.
#
# Nothing that is let through depends on what a masked column holds. The gateway itself refuses every use of a masked column
# but that it comes back (column_protected); the rest is here: statistics, sizes, plans, places of rows.

# METADATA
# scope: package
# schemas:
#   - input: schema.input
package extproc.sql_customers

import data.extproc.lib.sql

# The first that applies answers: what a statement may not do at all comes before how much it reads.
decision := deny("sql.read_only", sprintf("customer data can only be read; this is %v", [sql.listed(data.extproc.lib.sql.kinds)])) if {
	not data.extproc.lib.sql.reads_only
} else := deny("sql.statistics", "statistics, places of rows and passwords stay closed: they tell what masked columns hold") if {
	data.extproc.lib.sql.statistics
} else := deny("sql.table", sprintf("no rule opens %v", [sql.listed(sql.beyond(data.extproc.tables))])) if {
	not sql.within_or_catalog(data.extproc.tables)
} else := deny("sql.function", sprintf("not a harmless function: %v", [sql.listed(sql.functions_beyond(data.extproc.functions))])) if {
	not sql.functions_within(data.extproc.functions)
} else := deny("sql.unsure", sprintf("it is not certain what this does: %v", [sql.listed(data.extproc.lib.sql.doubts)])) if {
	not data.extproc.lib.sql.sure
} else := deny("sql.setting", sprintf("not open, or not to this value: %v", [sql.listed(data.extproc.lib.sql.settings)])) if {
	not sql.settings_within(data.extproc.settings)
} else := deny("sql.explain", "plans tell how many rows have which values: only explain of the catalogs is open, without analyze") if {
	some s in input.sql.statements
	s.kind == "explain"
	not explainable
} else := deny("customers.whole_table", whole_table) if {
	sql.scans_beyond(100)
} else := export if {
	data.extproc.lib.sql.exports
} else := catalog if {
	data.extproc.lib.sql.catalog_reading
} else := read

deny(rule, reason) := {"action": "deny", "rule": rule, "reason": reason}

whole_table := "say which rows you need: a where on a column, or a limit of at most 100 (whole tables leave by copy ... to stdout)"

explainable if {
	sql.only({"explain", "select"})
	sql.within_or_catalog([])
	every s in input.sql.statements { s.options == [] }
}

# A data owner says yes, and it leaves masked.
export := {
	"action": "hold",
	"rule": "customers.export",
	"reason": "an export of a table needs a data owner's approval",
	"hold": {"approvers": ["group:data-owners"], "min": 1, "timeout": "30m", "grant": "once"},
	"redact": masks,
}

catalog := {
	"action": "allow",
	"rule": "sql.catalog",
	"reason": "",
	"redact": masks,
}

# The limits are for each statement; of a cursor, for each fetch.
read := {
	"action": "allow",
	"rule": "customers.read",
	"reason": "",
	"redact": masks,
	"limits": {"rows": 1000, "response_bytes": 1048576},
} if {
	data.extproc.lib.sql.sure
}

masks := [
	{"columns": data.extproc.masked_columns, "strategy": "mask"},
	{"detect": ["credit_card", "ssn", "iban", "email"], "strategy": "mask"},
	{"detect": ["aws_key_id", "github_token", "jwt", "private_key"], "strategy": "drop"},
]
