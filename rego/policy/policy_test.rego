package extproc_test

import data.extproc
import data.extproc.http_customers_test

test_a_pull_request_gets_nothing if {
	every event in ["pull_request", "pull_request_target"] {
		asked := object.union(http_customers_test.table({}), {"identity": {"claims": object.union(http_customers_test.claims, {"event_name": event})}})
		d := extproc.decision with input as asked
		d.action == "deny"
		d.rule == "job.pull_request"
	}
}

test_an_unknown_repository_gets_nothing if {
	other := object.union(http_customers_test.table({}), {"identity": {"claims": {"repository": "eve/evil"}}})
	d := extproc.decision with input as other
	d.rule == "job.unknown_repository"
}

test_nothing_is_allowed_without_identity if {
	d := extproc.decision with input as {"resource": {"name": "x", "labels": {"open": "true"}}}
	d.action == "deny"
}

test_an_open_resource_is_allowed if {
	d := extproc.decision with input as {"identity": {"claims": http_customers_test.claims}, "resource": {"name": "x", "labels": {"open": "true"}}, "request": {"method": "POST"}}
	d.action == "allow"
}
