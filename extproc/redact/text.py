"""Masking of short texts, for records, approvals and error texts."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from extproc.model import JSON
from extproc.redact.detectors import mask_text


def mask(text: str) -> str:
    """`text` with everything masked that a detector finds."""
    masked, found = mask_text(text.encode("utf-8", "surrogatepass"))
    return masked.decode("utf-8", "replace") if found else text


def mask_document(value: dict[str, JSON], mask: Callable[[str], str]) -> dict[str, JSON]:
    """A JSON object with `mask` applied to its texts, its numbers and the names in it."""
    text = orjson.dumps(value).decode()
    if mask(text) == text:  # one search over the whole; nearly always nothing is found
        return value
    return {mask(name): _mask_value(item, mask) for name, item in value.items()}


def _mask_value(value: JSON, mask: Callable[[str], str]) -> JSON:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(name): _mask_value(item, mask) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_value(item, mask) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        return value if mask(text) == text else mask(text)
    return value
