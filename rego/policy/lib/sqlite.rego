# Just enough about SQL text to be careful with Datasette's ?sql=. It does not understand SQL and does not try: a
# statement that it cannot see through is not "plain".
package extproc.lib.sqlite

# One select, without comments, quotes that could hide a keyword, a second statement, or ways out of the table.
plain_select(sql) if {
	text := lower(sql)
	regex.match(`^\s*select[\s*]`, text)
	not regex.match(`;\s*\S`, text)
	not regex.match(`--|/\*|\x00`, text)
	not regex.match(`\b(pragma|attach|detach|load_extension|writefile|readfile|sqlite_master|sqlite_schema)\b`, text)
}

# `select *`, `select t.*`, `select all *`: not `count(*)` and not a product of two columns.
selects_everything(sql) if {
	text := lower(sql)
	regex.match(`(^|[\s(])select\s+(all\s+|distinct\s+)?([^()]*,\s*)?(["\[\x60]?\w+["\]\x60]?\s*\.\s*)?\*\s*(,|from\b|$)`, text)
}

selects_everything(sql) if {
	text := lower(sql)
	regex.match(`(^|[\s(])select\s*\*`, text)
}
