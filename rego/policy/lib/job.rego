# What is known of a CI job, from the claims of its OIDC token (here: GitHub Actions).
package extproc.lib.job

default repository := ""

repository := input.identity.claims.repository

known if input.identity.claims.repository in data.extproc.repositories

# A pull request runs code that nobody has reviewed, from a fork or not: no claim of the token tells the two apart.
unreviewed if input.identity.claims.event_name in {"pull_request", "pull_request_target"}

unreviewed if endswith(input.identity.claims.sub, ":pull_request")
