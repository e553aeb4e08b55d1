"""extproc-gateway: what Envoy asks about every request and response of a CI job."""
