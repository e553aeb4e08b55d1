"""PostgreSQL: the wire, a connection as a state machine, and what drives it.

`sql` understands statements, `masking` what comes back, `database` is the connection upstream.
"""
