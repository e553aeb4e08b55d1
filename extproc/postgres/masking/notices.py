"""
ErrorResponse and NoticeResponse on their way to the client (PostgreSQL documentation, "Error and Notice Message
Fields"). Their texts quote values: of rows in `Key (ssn)=(…) already exists`, of expressions, of whatever a function
raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from extproc.postgres.wire import ProtocolViolation
from extproc.redact.detectors import mask_text

# Severity (twice), SQLSTATE, position in the statement; file, line and routine of the server's source.
_KEPT: Final = frozenset(b"SVCPFLR")
_NAMES: Final = frozenset(b"stcdn")  # schema, table, column, data type, constraint
# Routines of the server's own checks: their names are the catalog's. RAISE … USING COLUMN = … puts in what it
# likes, but cannot choose its routine (`exec_stmt_raise`).
_OWN_CHECKS: Final = frozenset({
    b"_bt_check_unique", b"check_exclusion_or_unique_constraint", b"ri_ReportViolation", b"ExecConstraints",
    b"ReportNotNullViolationError", b"ExecPartitionCheckEmitError", b"ExecWithCheckOptions", b"domain_check_input",
    b"ExecEvalConstraintNotNull", b"ExecEvalConstraintCheck",
})  # fmt: skip
_SQLSTATE: Final = re.compile(rb"[0-9A-Z]{5}")
_NO_SQLSTATE: Final = b"XX000"
# PostgreSQL documentation, Appendix A.
_CLASSES: Final = {
    b"00": b"successful completion", b"01": b"warning", b"02": b"no data", b"03": b"SQL statement not yet complete",
    b"08": b"connection exception", b"09": b"triggered action exception", b"0A": b"feature not supported",
    b"0B": b"invalid transaction initiation", b"0F": b"locator exception", b"0L": b"invalid grantor",
    b"0P": b"invalid role specification", b"0Z": b"diagnostics exception", b"10": b"XQuery error",
    b"20": b"case not found", b"21": b"cardinality violation", b"22": b"data exception",
    b"23": b"integrity constraint violation", b"24": b"invalid cursor state", b"25": b"invalid transaction state",
    b"26": b"invalid SQL statement name", b"27": b"triggered data change violation",
    b"28": b"invalid authorization specification", b"2B": b"dependent privilege descriptors still exist",
    b"2D": b"invalid transaction termination", b"2F": b"SQL routine exception", b"34": b"invalid cursor name",
    b"38": b"external routine exception", b"39": b"external routine invocation exception",
    b"3B": b"savepoint exception", b"3D": b"invalid catalog name", b"3F": b"invalid schema name",
    b"40": b"transaction rollback", b"42": b"syntax error or access rule violation",
    b"44": b"WITH CHECK OPTION violation", b"53": b"insufficient resources", b"54": b"program limit exceeded",
    b"55": b"object not in prerequisite state", b"57": b"operator intervention", b"58": b"system error",
    b"F0": b"configuration file error", b"HV": b"foreign data wrapper error", b"P0": b"PL/pgSQL error",
    b"XX": b"internal error",
}  # fmt: skip
_WITHHELD: Final = b"; the text is withheld, as the statement concerns masked columns"

Field = tuple[int, bytes]


def mask_fields(body: bytes, *, touched: bool) -> bytes:
    """
    The body with nothing in it that detectors find. Where the statement `touched` masked columns (or that is unsure),
    of its texts only the SQLSTATE's class is told, in a fixed text, and names only from the server's own checks.

    Raises `ProtocolViolation` where the body is none.
    """
    fields = list(_fields(body))
    kept = list(_withheld(fields) if touched else _masked(fields))
    return b"".join((*(bytes((code,)) + value + b"\0" for code, value in kept), b"\0"))


def _fields(body: bytes) -> Iterator[Field]:
    at = 0
    while True:
        end = body.find(b"\0", at)
        if end < 0:
            raise ProtocolViolation("an error without an end")
        if end == at:
            break
        yield body[at], body[at + 1 : end]
        at = end + 1
    if at + 1 != len(body):
        raise ProtocolViolation("bytes behind the last field of an error")


def _masked(fields: list[Field]) -> Iterator[Field]:
    for code, value in fields:
        yield code, value if code in _KEPT else mask_text(value)[0]


def _withheld(fields: list[Field]) -> Iterator[Field]:
    """What is not known here may be a text, and goes with the texts; `p` goes with the query that it points into."""
    known = dict(fields)
    own = known.get(ord("R")) in _OWN_CHECKS
    state = known.get(ord("C"), b"")
    kind = _CLASSES.get(state[:2], b"application error") if _SQLSTATE.fullmatch(state) else _CLASSES[b"XX"]
    for code, value in fields:
        if code == ord("C"):
            yield code, value if _SQLSTATE.fullmatch(value) else _NO_SQLSTATE
        elif code == ord("M"):
            yield code, kind + _WITHHELD
        elif code in _KEPT or (own and code in _NAMES):
            yield code, value
