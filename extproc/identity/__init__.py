"""Who asks: OIDC tokens of jobs and of people."""
