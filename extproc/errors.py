"""
Every way a request can be refused: one stable code each.

The code is the metric's label, the record's `code` and the last part of the client's problem `type` (RFC 9457).
Titles are fixed texts that a client may see; nothing computed from a request goes into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PROBLEM_BASE: Final = "urn:extproc-gateway:problem:"


@dataclass(frozen=True, slots=True)
class Code:
    """A stable failure code, the HTTP status that goes with it and a fixed title."""

    name: str
    status: int
    title: str


_CODES = (
    # who is asking
    Code("identity_missing", 401, "A job's token is required"),
    Code("identity_invalid", 401, "The token was not accepted"),
    Code("identity_expired", 401, "The token has expired"),
    Code("identity_ambiguous", 400, "More than one credential was sent"),
    Code("identity_unavailable", 503, "The token could not be verified right now"),
    # what is asked
    Code("unknown_resource", 404, "No resource answers to this host"),
    Code("request_malformed", 400, "The request could not be read without doubt"),
    Code("method_refused", 405, "This method is not open on this resource"),
    Code("upgrade_refused", 403, "This protocol upgrade is not open on this resource"),
    Code("body_refused", 413, "This route takes no request body"),
    Code("body_too_large", 413, "The request body is larger than may be read before deciding"),
    # what a statement may be (SQL)
    Code("plaintext_refused", 403, "A token is taken over TLS only"),
    Code("login_refused", 403, "This connection is not open to this identity"),
    Code("statement_malformed", 400, "The statement could not be read without doubt"),
    Code("statement_refused", 403, "Statements and messages of this kind are not open here"),
    Code("setting_refused", 403, "The gateway keeps this setting as it is"),
    Code("column_protected", 403, "A masked column may only be selected as it is"),
    Code("statement_cancelled", 499, "The statement was cancelled"),
    # what policy says
    Code("policy_denied", 403, "Policy refused the request"),
    Code("policy_undefined", 503, "Policy gave no decision"),
    Code("policy_malformed", 503, "Policy's decision does not follow the contract"),
    Code("policy_error", 503, "Policy could not be evaluated"),
    Code("policy_timeout", 503, "Policy did not answer in time"),
    Code("policy_unavailable", 503, "The policy server could not be reached"),
    Code("policy_unmet", 503, "Policy asked for something this route cannot give"),
    Code("limit_exceeded", 429, "A limit set by policy is used up"),
    # what a human says
    Code("approval_denied", 403, "The request was not approved"),
    Code("approval_expired", 403, "Nobody approved the request in time"),
    Code("approval_used", 409, "The approval has been used already"),
    Code("approval_pending", 503, "The request waits for approval; send it again to join"),
    Code("approval_unavailable", 503, "Approvals cannot be kept right now"),
    # what goes on
    Code("record_unavailable", 503, "The request could not be recorded"),
    Code("credential_unavailable", 503, "The resource's credential could not be read"),
    Code("upstream_unavailable", 503, "The resource could not be reached"),
    # what came back
    Code("response_unreadable", 502, "The response has an encoding that cannot be read"),
    Code("response_unmaskable", 502, "The response has a media type that cannot be masked"),
    Code("response_malformed", 502, "The response could not be read without doubt"),
    Code("response_leaks_credential", 502, "The response carried the resource's own credential"),
    Code("response_too_large", 502, "The response is larger than policy allows"),
    Code("location_refused", 502, "The response redirects to a host that is not registered"),
    # what must not happen
    Code("protocol_error", 500, "Messages came in an order that is not understood"),
    Code("gateway_error", 500, "The gateway could not complete the request"),
    Code("aborted", 499, "The exchange ended before it was decided"),
    Code("stopping", 503, "The gateway is stopping"),
    Code("overloaded", 503, "Too many request bodies are being read"),
    Code("internal", 500, "The request could not be processed"),
)

CODES: Final[dict[str, Code]] = {code.name: code for code in _CODES}


class Refusal(Exception):  # noqa: N818 - it is an answer, not a programming error
    """
    Ends an exchange with an answer to the client.

    `reason` is shown to the client and recorded: it comes from policy or is a fixed text, never from a secret.
    `status` is policy's own choice (4xx), else the code's. `retry_after` (seconds) may stand only where nothing
    was forwarded.
    """

    def __init__(
        self,
        code: str,
        reason: str = "",
        *,
        rule: str = "",
        status: int = 0,
        approval: str = "",
        retry_after: int = 0,
        sqlstate: str = "",
        position: int = 0,
    ) -> None:
        self.code = CODES[code]
        self.reason = reason or self.code.title
        self.rule = rule
        self.status = status or self.code.status
        self.approval = approval
        self.retry_after = retry_after
        self.sqlstate = sqlstate  # where a statement's error has one of its own
        self.position = position  # in the statement, in characters from 1
        self.session = ""
        super().__init__(f"{code}: {self.reason}")


class ConfigError(Exception):
    """A configuration that must not start: says what, where and what to do."""
