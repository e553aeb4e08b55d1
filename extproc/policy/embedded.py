"""Rego in process (regorus). One synchronous call from bytes to bytes, a few microseconds.

The engine cannot be interrupted: a policy that runs away is ended by the supervisor, which kills a worker that misses
its heartbeat.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import regorus

from extproc.errors import ConfigError, Refusal
from extproc.policy.builtins import AST, missing_builtins, package_of
from extproc.policy.purity import is_pure, reads
from extproc.remembered import Remembered

RULE: Final = "data.extproc.decision"
_UNDEFINED: Final = '"<undefined>"'
_MAX_INPUT: Final = 16 * 1024 * 1024  # bytes
_REMEMBERED: Final = 4096  # answers
_LONGEST: Final = 16 * 1024  # bytes of an input whose answer is remembered

log = logging.getLogger("extproc.policy")

Files = dict[str, bytes]


class EmbeddedEngine:
    """
    The policy in a folder: every `*.rego` but tests, and `data.json`. Raises `ConfigError` for a bad one.

    `reads` names the parts of the input that the policy can see (None: any); the rest need not be given. Where the
    policy provably uses no time, randomness or network, an answer is remembered by all of the input that it can see.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files = read_files(path)
        self._stamp = _stamp(path)
        self._take(files)

    def _take(self, files: Files) -> None:
        """Raises `ConfigError`, and changes nothing then."""
        self._engine, modules = load(files)
        self._revision = revision_of(files)
        self.reads = reads(modules)
        self._known: Remembered[bytes, bytes] = Remembered(_REMEMBERED)
        self._pure = self.reads is not None and is_pure(modules)

    @property
    def revision(self) -> str:
        return self._revision

    def evaluate(self, document: bytes) -> tuple[bytes, str]:
        known = self._known.get(document)
        if known is not None:
            return known, self._revision
        answer = self._evaluate(document)
        if self._pure and len(document) <= _LONGEST:
            self._known.put(document, answer)
        return answer, self._revision

    def _evaluate(self, document: bytes) -> bytes:
        if len(document) > _MAX_INPUT:
            raise Refusal("policy_error", "the policy input is too large")
        try:
            self._engine.set_input_json(document.decode())
            answer = self._engine.eval_rule_as_json(RULE)
        except Exception:
            # regorus raises bare exceptions whose text quotes the policy: not for clients or logs.
            raise Refusal("policy_error") from None
        if answer == _UNDEFINED:
            raise Refusal("policy_undefined")
        return bytes(answer.encode())

    def reload_if_changed(self) -> bool:
        """Take a changed policy; keep the old one where the new one is bad."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._take(read_files(self._path))
        except ConfigError as error:
            log.error("policy not reloaded: %s", error)  # noqa: TRY400 - the place in our code says nothing
            return False
        log.info("policy reloaded", extra={"revision": self._revision})
        return True


def read_files(path: Path) -> Files:
    """The policy's files by their path relative to the folder."""
    if not path.is_dir():
        raise ConfigError(f"policy.path: {path} is not a folder")
    try:
        return {str(file.relative_to(path)): file.read_bytes() for file in _paths(path)}
    except OSError as error:
        raise ConfigError(f"policy.path: {error.filename}: {error.strerror}") from None


def load(files: Files) -> tuple[regorus.Engine, list[AST]]:
    """
    An engine with these files, evaluated once, so that what is only found then is found now; and the modules in them,
    as it reads them.
    """
    if not any(name.endswith(".rego") for name in files):
        raise ConfigError("policy.path: no *.rego file in the folder")
    modules = json.loads(_engine(files).get_ast_as_json())
    packages = {module["source"]["file"]: package_of(module) for module in modules}
    _require_one_file_each(packages)
    # Where a whole package is asked for, the engine takes what lies below for done once the package itself is: what is
    # below comes first.
    engine = _engine(dict(sorted(files.items(), key=lambda file: (-packages.get(file[0], "").count("."), file[0]))))
    missing = missing_builtins(modules)
    if missing:
        places = ", ".join(f"{call.name} ({call.file}:{call.line})" for call in missing)
        raise ConfigError(f"policy: the embedded engine has no {places}; use policy.engine: opa, or do without")
    try:
        engine.set_input_json("{}")
        engine.eval_rule_as_json(RULE)
    except Exception as error:
        raise ConfigError(f"policy: {_first_line(error)}") from None
    return engine, modules


def revision_of(files: Files) -> str:
    """Names the very files: a SHA-256 over names and contents, 16 hex digits."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{len(name)}:{name}:{len(content)}:".encode() + content)
    return digest.hexdigest()[:16]


def _engine(files: Files) -> regorus.Engine:
    engine = regorus.Engine()
    for name, content in files.items():
        _add(engine, name, content)
    return engine


def _require_one_file_each(packages: Mapping[str, str]) -> None:
    """Of a package in two files, the engine takes rules of the second for undefined where all of it is asked for."""
    files: dict[str, str] = {}
    for file, package in packages.items():
        if package in files:
            raise ConfigError(
                f"policy: package {package} stands in {files[package]} and in {file}; the embedded engine needs one "
                "file for each package"
            )
        files[package] = file


def _add(engine: regorus.Engine, name: str, content: bytes) -> None:
    try:
        text = content.decode()
        if name.endswith(".rego"):
            engine.add_policy(name, text)
        else:
            engine.add_data_json(text)
    except Exception as error:
        raise ConfigError(f"policy: {name}: {_first_line(error)}") from None


def _paths(path: Path) -> list[Path]:
    rego = [file for file in path.rglob("*.rego") if not file.name.endswith("_test.rego")]
    return sorted([*rego, *path.glob("data.json")])


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        return tuple((str(f), (s := f.stat()).st_mtime_ns, s.st_size) for f in _paths(path))
    except OSError:
        return ()


def _first_line(error: Exception) -> str:
    text = str(error).partition("Stack backtrace")[0]
    lines = [line.strip(" |-^>") for line in text.splitlines()]
    return "; ".join(line for line in lines if line)[:500]
