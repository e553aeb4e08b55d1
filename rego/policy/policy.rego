# The default policy: what a CI job may ask of each resource, what is masked on the way back, what people must approve.
#
# The gateway asks for data.extproc.decision (../schema/input.json in, ../schema/decision.json out). Nothing here says "allow"
# unless a rule below says why; whatever is undefined, wrong or late is a deny.
#
# How it is built: every rule that applies adds an object to `denials`, `holds` or `allows`; denials beat holds, holds
# beat allows. Start from it by changing data.json (who may ask what) before you change rules.
package extproc

import data.extproc.lib.job
import data.extproc.lib.sqlite

default decision := {
	"action": "deny",
	"rule": "default.closed",
	"reason": "no rule of the policy allows this request",
}

decision := d if {
	count(denials) > 0
	d := first(denials)
} else := d if {
	count(holds) > 0
	d := object.union(first(holds), {"redact": masks})
} else := d if {
	count(allows) > 0
	d := object.union(first(allows), {"redact": masks})
}

# The rule's name decides between several, so that the same input always gets the same answer.
first(rules) := rule if {
	name := min({r.rule | some r in rules})
	some rule in rules
	rule.rule == name
}

# --- what is masked: what detectors find, and what is secret by its name

masks := [
	{"detect": ["credit_card", "ssn", "iban", "email"], "strategy": "mask"},
	{"detect": ["aws_key_id", "github_token", "jwt", "private_key"], "strategy": "drop"},
]

# --- who is refused everywhere

denials contains {
	"action": "deny",
	"rule": "job.unknown_repository",
	"reason": sprintf("repository %v is not registered", [job.repository]),
} if {
	not job.known
}

denials contains {
	"action": "deny",
	"rule": "job.pull_request",
	"reason": "a pull request runs code that nobody has reviewed: it gets no data",
} if {
	job.unreviewed
}

# --- customers: a Datasette over customer data; reads only

customers if input.resource.labels.data == "customers"

reading if input.request.method in {"GET", "HEAD"}

denials contains {
	"action": "deny",
	"rule": "customers.read_only",
	"reason": "customer data can only be read",
	"status": 405,
} if {
	customers
	not reading
}

denials contains {
	"action": "deny",
	"rule": "customers.whole_table",
	"reason": "select * over a table with personal data is not allowed: name the columns you need, and add a limit",
} if {
	customers
	some sql in input.request.query.sql
	sqlite.selects_everything(sql)
}

denials contains {
	"action": "deny",
	"rule": "customers.one_statement",
	"reason": "send one plain select: no comments, no second statement, no pragma",
} if {
	customers
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
	customers
	reading
	export
}

allows contains {
	"action": "allow",
	"rule": "customers.read",
	"reason": "",
} if {
	customers
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

# --- anything else: resources that carry the label `open: "true"` and nothing more

allows contains {
	"action": "allow",
	"rule": "resource.open",
	"reason": "",
} if {
	input.resource.labels.open == "true"
}
