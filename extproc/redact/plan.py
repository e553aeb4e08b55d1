"""From policy's rules and a media type to the filters of a body. What cannot be masked is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from extproc.errors import Refusal
from extproc.model import MaskRule, Strategy
from extproc.redact.base import ByteFilter
from extproc.redact.columns import CsvColumnFilter
from extproc.redact.fields import JsonFieldFilter
from extproc.redact.strategies import BY_SECRECY, least
from extproc.redact.stream import DetectorFilter

_JSON: Final = frozenset({
    b"application/json", b"text/json", b"application/x-ndjson", b"application/ndjson", b"application/jsonl",
    b"application/x-jsonlines", b"application/json-lines", b"application/json-seq",
})  # fmt: skip
_DELIMITERS: Final = {
    b"text/csv": b",", b"application/csv": b",", b"text/tab-separated-values": b"\t", b"text/tsv": b"\t",
}  # fmt: skip
_TEXT: Final = frozenset({
    b"", b"application/xml", b"application/javascript", b"application/x-javascript", b"application/ecmascript",
    b"application/x-www-form-urlencoded", b"application/yaml", b"application/x-yaml", b"application/toml",
    b"application/sql", b"application/graphql", b"application/x-sh", b"application/x-pem-file",
})  # fmt: skip
_SUFFIXES: Final = (b"+xml", b"+yaml")
# ASCII keeps its bytes in all of these.
_CHARSETS: Final = frozenset({
    b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin1", b"windows-1252",
})  # fmt: skip


def plan(rules: Sequence[MaskRule], media_type: bytes, *, key: bytes) -> list[ByteFilter]:
    """
    The filters for a body whose Content-Type header is `media_type` (RFC 9110 8.3; empty is read as text).

    Names (fields and columns) go by JSON members or CSV columns, detectors by any text; rules with the same strategy
    share a filter. Raises `Refusal`: response_unmaskable for other types and charsets, policy_unmet for an unknown
    detector.
    """
    names = _by_strategy(rules, lambda rule: (*rule.fields, *rule.columns))
    detect = _by_strategy(rules, lambda rule: rule.detect)
    if not names and not detect:
        return []
    essence, charsets, header = _read(media_type)
    if not charsets <= _CHARSETS:
        raise Refusal("response_unmaskable", "the charset of the response cannot be masked")
    json = essence in _JSON or essence.endswith(b"+json")
    filters: list[ByteFilter] = []
    for strategy, wanted in names.items():
        if json:
            filters.append(JsonFieldFilter(wanted, strategy, key=key))
        elif essence in _DELIMITERS and header:
            filters.append(CsvColumnFilter(wanted, strategy, key=key, delimiter=_DELIMITERS[essence]))
        else:
            raise Refusal("response_unmaskable", "a rule names fields, and the response's type has no names")
    for strategy, wanted in detect.items():
        if not json and not _is_text(essence):
            raise Refusal("response_unmaskable")
        filters.append(DetectorFilter(wanted, strategy, key=key, json=json))
    return filters


class Chain:
    """Filters one after the other, as one."""

    def __init__(self, filters: Sequence[ByteFilter]) -> None:
        self._filters = tuple(filters)

    @property
    def counts(self) -> dict[str, int]:
        """How many values were masked, by detector, `field:name` and `column:name`."""
        merged: dict[str, int] = {}
        for one in self._filters:
            counts: dict[str, int] = getattr(one, "counts", {})
            for name, count in counts.items():
                merged[name] = merged.get(name, 0) + count
        return merged

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        yield from _through(self._filters, data, end=end)


def _through(filters: tuple[ByteFilter, ...], data: bytes, *, end: bool) -> Iterator[bytes]:
    if not filters:
        if data:
            yield data
        return
    for piece in filters[0].feed(data, end=end):
        yield from _through(filters[1:], piece, end=False)
    if end:
        yield from _through(filters[1:], b"", end=True)


def _by_strategy(
    rules: Sequence[MaskRule], names_of: Callable[[MaskRule], tuple[str, ...]]
) -> dict[Strategy, tuple[str, ...]]:
    """The names of all rules by strategy; a name in several rules goes by the strategy that shows least."""
    chosen: dict[str, Strategy] = {}
    for rule in rules:
        for name in names_of(rule):
            chosen[name] = least((rule.strategy, chosen.get(name, rule.strategy)))
    return {
        strategy: names
        for strategy in BY_SECRECY
        if (names := tuple(name for name, wanted in chosen.items() if wanted == strategy))
    }


def _is_text(essence: bytes) -> bool:
    return essence.startswith(b"text/") or essence in _TEXT or essence in _DELIMITERS or essence.endswith(_SUFFIXES)


def _read(media_type: bytes) -> tuple[bytes, frozenset[bytes], bool]:
    """Type, charsets and whether a CSV has a header (RFC 4180 3), all in lower case."""
    essence, *parameters = (part.strip().lower() for part in media_type.split(b";"))
    pairs = [parameter.partition(b"=") for parameter in parameters]
    values = [(name.strip(), value.strip().strip(b"\"'")) for name, _, value in pairs]
    charsets = frozenset(value for name, value in values if name == b"charset")
    return essence, charsets, (b"header", b"absent") not in values
