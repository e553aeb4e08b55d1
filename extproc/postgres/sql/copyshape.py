"""How the data of a COPY looks: its options, in the old syntax and the new (PostgreSQL documentation, COPY)."""

from __future__ import annotations

from typing import Any, Final, Literal

from extproc.postgres.sql.model import CopyShape
from extproc.postgres.sql.parse import inner

_FORMATS: Final[dict[str, Literal["text", "csv", "binary"]]] = {"text": "text", "csv": "csv", "binary": "binary"}
# They change what is loaded, not how the data looks.
_SILENT: Final = frozenset({"freeze", "on_error", "log_verbosity", "reject_limit"})
_WORDS: Final = frozenset({"format", "delimiter", "null", "quote", "escape", "header"})
_TRUE: Final = frozenset({"true", "on", "match"})
_FALSE: Final = frozenset({"false", "off"})


def shape_of(node: Any) -> CopyShape | None:
    """Of a CopyStmt to or from the client; None where a file or a program is the other end."""
    if node.filename or node.is_program:
        return None
    options = [inner(option) for option in node.options]
    names = [option.defname for option in options]
    given = {option.defname: _word(option) for option in options if option.defname in _WORDS}
    header = _header(given.pop("header", "off"))
    understood = (
        len(set(names)) == len(names)
        and _WORDS.union(_SILENT).issuperset(names)
        and None not in given.values()
        and given.get("format", "text") in _FORMATS
        and header is not None
    )
    words = {name: word for name, word in given.items() if word is not None}
    format_ = _FORMATS.get(words.get("format", "text"), "text")
    quote = words.get("quote", '"')
    csv = format_ == "csv"
    return CopyShape(
        direction="in" if node.is_from else "out",
        format=format_,
        delimiter=words.get("delimiter", "," if csv else "\t"),
        null=words.get("null", "" if csv else "\\N"),
        quote=quote,
        escape=words.get("escape", quote),
        header=bool(header),
        understood=understood,
    )


def _word(option: Any) -> str | None:
    """As `defGetString` of define.c has it; "" for an option without a value, None for what is no word."""
    if not option.HasField("arg"):
        return "" if option.defname == "header" else None
    arg = inner(option.arg)
    match type(arg).__name__:
        case "String":
            return str(arg.sval)
        case "Integer":
            return str(arg.ival)
        case "Boolean":
            return "true" if arg.boolval else "false"
        case _:
            return None


def _header(word: str | None) -> bool | None:
    """None where the server would not take it (defGetCopyHeaderChoice, copy.c)."""
    if word is None:
        return None
    if word in ("", "1") or word.lower() in _TRUE:
        return True
    return False if word == "0" or word.lower() in _FALSE else None
