"""HTTP as Envoy's ext_proc tells it: wire, exchange, canonical, body."""
