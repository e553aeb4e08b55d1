"""
The resource's own credential must not come back: whoever reads it would not need the gateway any more.

A secret is looked for as it is, in base64 (RFC 4648, both alphabets, at each of three offsets) and in hex; and each of
these with any of its characters escaped as URLs, JSON or HTML do. Compression and encryption hide it.
"""

from __future__ import annotations

import base64
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Final

from extproc.errors import Refusal
from extproc.redact.detectors import compile_bytes

RAW_ONLY: Final = 8  # bytes; a shorter secret is looked for only as it is: its encodings are too short to mean it
SHORTEST: Final = 4  # bytes; what is shorter stands in any text by chance and is not looked for
_HEAD: Final = 12  # elements that the pattern covers; what follows is compared one by one
_WIDEST: Final = 6  # bytes of the longest form of one character
_CHANCE: Final = 12  # elements that a message may end with by chance, where a conversation must not stall

_ENTITIES: Final = {
    ord("&"): (b"&amp;", b"&#38;"), ord("<"): (b"&lt;", b"&#60;"), ord(">"): (b"&gt;", b"&#62;"),
    ord('"'): (b"&quot;", b"&#34;", b'\\"'), ord("'"): (b"&#39;", b"&#x27;"), ord("/"): (b"\\/",),
    ord("\\"): (b"\\\\",), ord(" "): (b"+",), ord("\n"): (b"\\n",), ord("\t"): (b"\\t",),
}  # fmt: skip

Element = tuple[bytes, ...]  # the forms of one character
Needle = tuple[Element, ...]


def _cases(text: bytes) -> set[bytes]:
    """Hex digits in either case."""
    pairs = [{bytes((byte,)).lower(), bytes((byte,)).upper()} for byte in text]
    return {b"".join(pick) for pick in itertools.product(*pairs)}


@functools.cache
def _element(byte: int) -> Element:
    forms = {bytes((byte,)), *_ENTITIES.get(byte, ())}
    digits = b"%02x" % byte
    forms |= {b"%" + pair for pair in _cases(digits)} | {b"\\u00" + pair for pair in _cases(digits)}
    return tuple(sorted(forms))


def _needles(secret: bytes) -> Iterator[Needle]:
    if len(secret) < RAW_ONLY:
        yield tuple((bytes((byte,)),) for byte in secret)
        return
    yield tuple(_element(byte) for byte in secret)
    yield tuple(tuple({bytes((c,)), bytes((c,)).upper()}) for c in secret.hex().encode())
    for offset in range(3):
        yield tuple(_base64_element(char) for char in _base64(secret, offset))


def _base64(secret: bytes, offset: int) -> bytes:
    """The characters that the secret alone decides where it begins `offset` bytes after a group of three."""
    text = base64.b64encode(bytes(offset) + secret)
    return text[-(-offset * 8 // 6) : (offset + len(secret)) * 8 // 6]


def _base64_element(char: int) -> Element:
    other = {ord("+"): ord("-"), ord("/"): ord("_")}.get(char)
    return _element(char) if other is None else tuple({*_element(char), *_element(other)})


class _Forms:
    """Everything that means one of the secrets. Costs milliseconds to build, so it is kept."""

    def __init__(self, secrets: frozenset[bytes]) -> None:
        needles = [needle for secret in secrets if len(secret) >= SHORTEST for needle in _needles(secret)]
        self.head = compile_bytes(b"|".join(sorted({_alternatives(needle[:_HEAD]) for needle in needles})))
        self.by_first: dict[int, list[Needle]] = {}
        for needle in needles:
            for byte in {form[0] for form in needle[0]}:
                self.by_first.setdefault(byte, []).append(needle)
        self.first = re.compile(b"[" + _quoted(bytes(sorted(self.by_first))) + b"]") if needles else None


@functools.lru_cache(maxsize=64)
def _forms(secrets: frozenset[bytes]) -> _Forms:
    return _Forms(secrets)


class SecretFilter:
    """
    Passes bytes on, or raises `Refusal("response_leaks_credential")` before any of a secret's last bytes went on.

    Holds back only what may be the beginning of a secret. In a `conversation`, where one side may wait for the other's
    last byte for ever, it lets the first few characters of a beginning go on, yet remembers them: at least half of a
    secret stays back.
    """

    def __init__(self, secrets: tuple[bytes, ...], *, conversation: bool = False) -> None:
        self._forms = _forms(frozenset(secrets))
        self._carry = b""
        self._gone = 0  # bytes of the carry that went on already
        self._chance = _CHANCE if conversation else 1

    def contains(self, value: bytes) -> bool:
        """Whether a secret stands in a whole value."""
        return self._look(value, end=True) < 0

    def feed(self, data: bytes, *, end: bool) -> Iterator[bytes]:
        text = self._carry + data
        keep = self._look(text, end=end)
        if keep < 0:
            raise Refusal("response_leaks_credential")
        hold = self._held(text, keep) if self._chance > 1 else keep
        gone, self._carry = self._gone, text[keep:]
        self._gone = max(hold, gone) - keep
        if hold > gone:
            yield text[gone:hold]

    def _held(self, text: bytes, keep: int) -> int:
        """Where so much of a beginning stands that chance does not explain it, else the text's end."""
        for start in range(keep, len(text)):
            for needle in self._forms.by_first.get(text[start], ()):
                most = min(self._chance, len(needle) // 2)
                if _compare(needle[:most], text, start) > 0 and _compare(needle, text, start) == 0:
                    return start
        return len(text)

    def _look(self, text: bytes, *, end: bool) -> int:
        """Where a secret may begin that is not whole yet, else the text's end; -1 where one is whole."""
        keep = len(text)
        if self._forms.first is None:
            return keep
        at = 0
        while (found := self._forms.head.search(text, at)) is not None:
            verdict = self._at(text, found.start())
            if verdict > 0:
                return -1
            if verdict == 0:
                keep = min(keep, found.start())
            at = found.start() + 1
        if end:
            return len(text)
        # Near the end not even the head of a needle need be whole.
        for start in self._forms.first.finditer(text, max(0, len(text) - _HEAD * _WIDEST)):
            if start.start() >= keep:
                break
            if self._at(text, start.start()) == 0:
                return start.start()
        return keep

    def _at(self, text: bytes, start: int) -> int:
        """1: a secret stands at `start`; 0: the text ends before that is known; -1: none."""
        return max((_compare(needle, text, start) for needle in self._forms.by_first.get(text[start], ())), default=-1)


def _alternatives(needle: Needle) -> bytes:
    return b"".join(b"(?:" + b"|".join(_quoted(form) for form in element) + b")" for element in needle)


def _quoted(form: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in form)


def _compare(needle: Needle, text: bytes, start: int) -> int:
    places = {start}
    cut = False
    for element in needle:
        following = set()
        for place in places:
            for form in element:
                if text.startswith(form, place):
                    following.add(place + len(form))
                elif place + len(form) > len(text) and form.startswith(text[place:]):
                    cut = True
        if not following:
            return 0 if cut else -1
        places = following
    return 1
