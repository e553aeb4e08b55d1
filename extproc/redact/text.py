"""Masking of short texts, for records, approvals and error texts."""

from __future__ import annotations

from extproc.redact.detectors import mask_text


def mask(text: str) -> str:
    """`text` with everything masked that a detector finds."""
    masked, found = mask_text(text.encode("utf-8", "surrogatepass"))
    return masked.decode("utf-8", "replace") if found else text
