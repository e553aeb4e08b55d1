"""Refusals as PostgreSQL errors: SQLSTATE, message, detail and hint that psql and drivers show well."""

from __future__ import annotations

from typing import Final

from extproc.errors import CODES, Refusal
from extproc.postgres import wire

# PostgreSQL documentation, Appendix A. Drivers act on the class: 28 asks for credentials, 57 is worth another try, 08
# ends the connection, 42 is the statement's own fault.
_STATES: Final = {
    "identity_missing": "28000",
    "identity_invalid": "28000",
    "identity_expired": "28000",
    "identity_ambiguous": "28000",
    "identity_unavailable": "57P03",
    "unknown_resource": "3D000",
    "plaintext_refused": "28000",
    "login_refused": "28000",
    "statement_malformed": "42601",
    "statement_refused": "0A000",
    "setting_refused": "42501",
    "column_protected": "42501",
    "statement_cancelled": "57014",
    "policy_denied": "42501",
    "limit_exceeded": "53400",
    "approval_denied": "42501",
    "approval_expired": "42501",
    "approval_used": "42501",
    "approval_pending": "57P01",
    "response_too_large": "53400",
    "response_unmaskable": "42501",
    "overloaded": "53300",
    "stopping": "57P01",
    "upstream_unavailable": "08006",
    "protocol_error": "08P01",
    "aborted": "57014",
}
_OTHERWISE: Final = "58000"  # system_error: what the gateway could not do
_HINTS: Final = {
    "identity_missing": "Send the job's OIDC token as the password.",
    "identity_expired": "Get a new token and connect again.",
    "plaintext_refused": "Connect with sslmode=require, or better verify-full.",
    "column_protected": "Select the column as it is, or leave it out.",
    "statement_refused": "Use plain statements, or prepared ones of this connection.",
    "approval_pending": "Send the same statement again: it joins the pending approval.",
}
# After these the connection cannot go on.
FATAL: Final = frozenset({
    "identity_missing", "identity_invalid", "identity_expired", "identity_ambiguous", "identity_unavailable",
    "unknown_resource", "plaintext_refused", "login_refused", "upstream_unavailable", "protocol_error", "overloaded",
    "stopping",
})  # fmt: skip


def sqlstate(code: str) -> str:
    return _STATES.get(code, _OTHERWISE)


def is_fatal(refusal: Refusal) -> bool:
    return refusal.code.name in FATAL


def error(refusal: Refusal, *, exchange: str = "", control_url: str = "") -> bytes:
    """The ErrorResponse. Its texts are fixed or policy's; `detail` names the code, the rule and where the record is."""
    code = refusal.code.name
    about = {
        "code": code,
        "rule": refusal.rule,
        "session": refusal.session,
        "exchange": exchange,
        "approval": refusal.approval,
    }
    hint = _HINTS.get(code, "")
    if refusal.approval and control_url:
        hint = f"{hint} See {control_url}/v1/approvals/{refusal.approval}".strip()
    severity = "FATAL" if is_fatal(refusal) else "ERROR"
    detail = ", ".join(f"{name} {value}" for name, value in about.items() if value)
    position = str(refusal.position) if refusal.position else ""
    return wire.fields(
        b"E",
        {
            "S": severity,
            "V": severity,
            "C": refusal.sqlstate or sqlstate(code),
            "M": refusal.reason,
            "D": f"extproc-gateway: {detail}",
            "H": hint,
            "P": position,
        },
    )


def notice(text: str, *, detail: str = "", hint: str = "") -> bytes:
    """A NoticeResponse of the gateway's own, with SQLSTATE 00000."""
    return wire.fields(b"N", {"S": "NOTICE", "V": "NOTICE", "C": "00000", "M": text, "D": detail, "H": hint})


assert set(_STATES) <= set(CODES)
