package extproc.http_customers_test

import data.extproc

claims := {"repository": "acme/billing", "event_name": "push", "actor": "octocat"}

request(method, path, segments, query) := {
	"version": 1,
	"phase": "request",
	"identity": {"issuer": "https://issuer", "kind": "job", "claims": claims},
	"resource": {"name": "customers", "kind": "http", "labels": {"data": "customers"}},
	"request": {"method": method, "path": path, "segments": segments, "query": query},
}

table(query) := request("GET", "/customers/customers.json", ["customers", "customers.json"], query)

sql(text) := request("GET", "/customers.json", ["customers.json"], {"sql": [text]})

test_a_page_of_the_table_is_allowed_and_masked if {
	d := extproc.decision with input as table({})
	d.action == "allow"
	"email" in d.redact[_].detect
}

test_every_select_star_is_refused if {
	every text in [
		"select * from customers",
		"SELECT\n*\nFROM customers",
		"select customers.* from customers",
		"select id, * from customers",
		"select distinct * from customers",
		"select*from customers",
	] {
		d := extproc.decision with input as sql(text)
		d.action == "deny"
		d.rule == "customers.whole_table"
	}
}

test_counting_is_allowed if {
	d := extproc.decision with input as sql("select count(*) from customers")
	d.action == "allow"
}

test_named_columns_are_allowed if {
	d := extproc.decision with input as sql("select id, email from customers limit 5")
	d.action == "allow"
}

test_a_second_statement_is_refused if {
	every text in ["select 1; select 2", "pragma table_info(x)", "select 1 -- x", "select /* x */ 1", "attach 'x' as y"] {
		d := extproc.decision with input as sql(text)
		d.action == "deny"
	}
}

test_an_export_is_held if {
	d := extproc.decision with input as request("GET", "/customers/customers.csv", ["customers", "customers.csv"], {"_stream": ["on"]})
	d.action == "hold"
	d.hold.approvers == ["group:data-owners"]
	count(d.redact) > 0
}

test_a_large_page_is_an_export if {
	every size in ["max", "1000", "-1", "1e9", ""] {
		d := extproc.decision with input as table({"_size": [size]})
		d.action == "hold"
	}
	d := extproc.decision with input as table({"_size": ["20"]})
	d.action == "allow"
}

test_one_small_size_does_not_hide_a_large_one if {
	d := extproc.decision with input as table({"_size": ["20", "max"]})
	d.action == "hold"
}

test_writing_is_refused if {
	d := extproc.decision with input as request("POST", "/customers", ["customers"], {})
	d.action == "deny"
	d.rule == "customers.read_only"
}

test_other_pages_are_closed if {
	d := extproc.decision with input as request("GET", "/-/plugins.json", ["-", "plugins.json"], {})
	d.action == "deny"
	d.rule == "default.closed"
}
