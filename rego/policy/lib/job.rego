# What is known of a CI job, from the claims of its OIDC token (here: GitHub Actions).
package extproc.lib.job

default repository := ""

repository := input.identity.claims.repository

known if repository in data.extproc.repositories

# A pull request runs code that nobody has reviewed. GitHub gives a fork's run no OIDC token by default; where it is
# given one, the token's subject ends in :pull_request and head and base repository differ.
from_fork if {
	input.identity.claims.event_name in {"pull_request", "pull_request_target"}
	input.identity.claims.head_repository != repository
}

from_fork if input.identity.claims.fork == true

from_fork if input.identity.claims.fork == "true"
