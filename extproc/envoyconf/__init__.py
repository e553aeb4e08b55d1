"""From extproc.yaml to Envoy's configuration."""
