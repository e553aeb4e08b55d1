# The default policy: what a CI job may ask of each resource, what is masked on the way back, what people must approve.
#
# The gateway asks for data.extproc.decision (../schema/input.json in, ../schema/decision.json out). Nothing here says "allow"
# unless a rule says why; whatever is undefined, wrong or late is a deny.
#
# How it is built: this file says who is refused everywhere and which file answers for which resource. In those, denials
# come before holds, holds before allows. Start by changing data.json (who may ask what) before you change rules.

# METADATA
# scope: package
# schemas:
#   - input: schema.input
package extproc

import data.extproc.lib.job

default decision := {
	"action": "deny",
	"rule": "default.closed",
	"reason": "no rule of the policy allows this request",
}

# Who is refused everywhere; customers, in a file for each way to them; what carries the label `open: "true"`.
decision := {
	"action": "deny",
	"rule": "job.unknown_repository",
	"reason": sprintf("repository %v is not registered", [job.repository]),
} if {
	not job.known
} else := {
	"action": "deny",
	"rule": "job.pull_request",
	"reason": "a pull request runs code that nobody has reviewed: it gets no data",
} if {
	job.unreviewed
} else := data.extproc.http_customers.decision if {
	input.resource.labels.data == "customers"
	input.resource.kind == "http"
} else := data.extproc.sql_customers.decision if {
	input.resource.labels.data == "customers"
	input.resource.kind == "postgres"
} else := {
	"action": "allow",
	"rule": "resource.open",
	"reason": "",
	"redact": [
		{"detect": ["credit_card", "ssn", "iban", "email"], "strategy": "mask"},
		{"detect": ["aws_key_id", "github_token", "jwt", "private_key"], "strategy": "drop"},
	],
} if {
	input.resource.labels.open == "true"
}
