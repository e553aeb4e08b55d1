# Which of several rules of one kind gives the answer: its name decides, so that the same input always gets the same one.
package extproc.lib.order

first(rules) := rule if {
	count(rules) == 1 # the usual case, and the quick one
	some rule in rules
} else := rule if {
	name := min({r.rule | some r in rules})
	some rule in rules
	rule.rule == name
}
