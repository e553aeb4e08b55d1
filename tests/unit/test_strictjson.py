"""Only JSON that every reader reads the same way."""

from __future__ import annotations

import pytest

from extproc import strictjson


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "\\u00e9"]}', {"a": [1, 2.5, None, True, "é"]}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        (b"18446744073709551615", 2**64 - 1),
        (b"[" * 64 + b"]" * 64, None),
    ],
)
def test_plain_json_is_read(text: bytes, value: object) -> None:
    read = strictjson.loads(text)
    assert value is None or read == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"1 2",
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'[{"b": {"a": 1, "a": 1}}]',
        b"NaN",
        b"[-Infinity]",
        b"1e400",
        b"123456789012345678901234567890",
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\xff"',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'"\n"',
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_readers_differ_on_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text: it is never shown
        strictjson.loads(text)
