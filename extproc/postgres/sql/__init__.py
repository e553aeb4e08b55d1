"""SQL, understood with PostgreSQL's own grammar."""
