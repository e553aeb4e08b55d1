"""PostgreSQL: the wire, a connection as a state machine, SQL read with PostgreSQL's own grammar, rows masked."""
