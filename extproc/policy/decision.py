"""A policy's answer, read against the contract (rego/schema/decision.json). Whatever does not follow it is a deny."""

from __future__ import annotations

import functools
import re
from typing import Annotated, Final, Literal

import msgspec

from extproc.errors import Refusal
from extproc.model import Decision, HoldTerms, Limits, MaskRule
from extproc.redact.detectors import DETECTORS

_DURATION: Final = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_TEXT: Final = 2000
_SHORT: Final = 4096  # bytes of an answer that is worth remembering

Text = Annotated[str, msgspec.Meta(max_length=_MAX_TEXT)]
Names = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=256)]], msgspec.Meta(max_length=256)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Mask(msgspec.Struct, forbid_unknown_fields=True):
    detect: Names = []
    fields: Names = []
    columns: Names = []
    uses: list[Literal["predicate", "order", "group", "join", "argument", "write"]] = []
    strategy: Literal["mask", "partial", "hash", "token", "drop"] = "mask"


class _Hold(msgspec.Struct, forbid_unknown_fields=True):
    approvers: Annotated[Names, msgspec.Meta(min_length=1)]
    min: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    timeout: str = "30m"
    grant: str = "once"
    scope: Text = ""
    justify: bool = False


class _Limits(msgspec.Struct, forbid_unknown_fields=True):
    response_bytes: Count | None = None
    rows: Count | None = None
    session_bytes: Count | None = None
    seconds: Annotated[int, msgspec.Meta(ge=1, le=86400)] | None = None


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["allow", "deny", "hold"]
    reason: Text = ""
    rule: Text = ""
    status: Annotated[int, msgspec.Meta(ge=400, le=499)] | None = None
    inspect: list[Literal["request_body", "response"]] = []
    redact: Annotated[list[_Mask], msgspec.Meta(max_length=64)] = []
    hold: _Hold | None = None
    limits: _Limits = msgspec.field(default_factory=_Limits)
    record: Literal["full", "redacted", "metadata"] | None = None


_decoder: Final = msgspec.json.Decoder(_Answer, strict=True)


def read_decision(answer: bytes, revision: str) -> Decision:
    """
    The decision in `answer` (JSON); for the same answer the same object. Raises `Refusal("policy_malformed")` with what
    is wrong, never a value.
    """
    return _read_again(answer, revision) if len(answer) <= _SHORT else _read(answer, revision)


def _read(answer: bytes, revision: str) -> Decision:
    try:
        read = _decoder.decode(answer)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Refusal("policy_malformed", f"the decision does not follow the contract: {_where(error)}") from None
    if (read.action == "hold") != (read.hold is not None):
        raise Refusal("policy_malformed", "the decision does not follow the contract: `hold` goes with action hold")
    return Decision(
        action=read.action,
        reason=read.reason,
        rule=read.rule,
        status=read.status or 0,
        inspect=frozenset(read.inspect),
        redact=tuple(_mask_rule(rule) for rule in read.redact),
        hold=_hold_terms(read.hold) if read.hold else None,
        limits=Limits(**msgspec.structs.asdict(read.limits)),
        record=read.record,
        revision=revision,
    )


_read_again = functools.lru_cache(1024)(_read)


def _mask_rule(rule: _Mask) -> MaskRule:
    if not (rule.detect or rule.fields or rule.columns):
        raise Refusal("policy_malformed", "the decision does not follow the contract: a redact rule that names nothing")
    unknown = [name for name in rule.detect if name not in DETECTORS]
    if unknown:
        raise Refusal("policy_malformed", "the decision names a detector that does not exist")
    if rule.uses and not rule.columns:
        raise Refusal("policy_malformed", "the decision does not follow the contract: `uses` goes with columns")
    return MaskRule(tuple(rule.detect), tuple(rule.fields), tuple(rule.columns), rule.strategy, tuple(rule.uses))


def _hold_terms(hold: _Hold) -> HoldTerms:
    grant = 0.0 if hold.grant == "once" else _seconds(hold.grant, "hold.grant")
    if grant and not hold.scope:
        # A window without a scope would let through whatever the same job asks next.
        raise Refusal("policy_malformed", "the decision does not follow the contract: hold.grant needs hold.scope")
    return HoldTerms(
        approvers=tuple(hold.approvers),
        minimum=hold.min,
        timeout=_seconds(hold.timeout, "hold.timeout"),
        grant_seconds=grant,
        scope=hold.scope,
        justify=hold.justify,
    )


def _seconds(text: str, where: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Refusal("policy_malformed", f"the decision does not follow the contract: {where} is not like 30m")
    return float(int(match[1]) * _SECONDS[match[2]])


def _where(error: Exception) -> str:
    """Msgspec names types and the path; an enum's error quotes the value, which may come from a request."""
    text = str(error)
    path = text.rpartition(" - at `")[2].rstrip("`") if " - at `" in text else "$"
    if text.startswith("Object contains unknown field"):
        return f"an unknown field at {path}"
    if text.startswith("Object missing required field"):
        return text.partition(" - at")[0].lower()
    return f"wrong type or value at {path}"
