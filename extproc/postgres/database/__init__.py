"""The connection to the database: TLS and login upstream, and what its catalogs say."""
