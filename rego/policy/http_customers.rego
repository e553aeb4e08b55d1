# Customers over HTTP: a Datasette with the label `data: customers`. Reads only; an export waits for a data owner.

# METADATA
# scope: package
# schemas:
#   - input: schema.input
package extproc.http_customers

import data.extproc.lib.order
import data.extproc.lib.sqlite

decision := order.first(denials) if {
	count(denials) > 0
} else := object.union(order.first(holds), {"redact": masks}) if {
	count(holds) > 0
} else := object.union(order.first(allows), {"redact": masks}) if {
	count(allows) > 0
}

masks := [
	{"detect": ["credit_card", "ssn", "iban", "email"], "strategy": "mask"},
	{"detect": ["aws_key_id", "github_token", "jwt", "private_key"], "strategy": "drop"},
]

reading if input.request.method in {"GET", "HEAD"}

denials contains {
	"action": "deny",
	"rule": "customers.read_only",
	"reason": "customer data can only be read",
	"status": 405,
} if {
	not reading
}

denials contains {
	"action": "deny",
	"rule": "customers.whole_table",
	"reason": "select * over a table with personal data is not allowed: name the columns you need, and add a limit",
} if {
	some sql in input.request.query.sql
	sqlite.selects_everything(sql)
}

denials contains {
	"action": "deny",
	"rule": "customers.one_statement",
	"reason": "send one plain select: no comments, no second statement, no pragma",
} if {
	some sql in input.request.query.sql
	not sqlite.plain_select(sql)
}

# A view that leaves the whole table: the CSV export, a stream, or more rows than a job needs.
export if {
	some _ in input.request.query._stream
}

export if {
	some size in input.request.query._size
	not small(size)
}

small(size) if {
	regex.match(`^[0-9]{1,3}$`, size)
	to_number(size) <= 100
}

holds contains {
	"action": "hold",
	"rule": "customers.export",
	"reason": "an export of the customer table needs a data owner's approval",
	"hold": {"approvers": ["group:data-owners"], "min": 1, "timeout": "30m", "grant": "once"},
} if {
	reading
	export
}

allows contains {
	"action": "allow",
	"rule": "customers.read",
	"reason": "",
} if {
	reading
	not export
	readable
}

# The database's pages, tables and queries; not Datasette's own pages about tokens, plugins and the like.
readable if input.request.path == "/"

readable if input.request.segments[0] in {"customers", "customers.json", "customers.csv"}

readable if {
	input.request.segments[0] == "-"
	input.request.segments[1] in data.extproc.datasette_pages # only what data.json names
}
