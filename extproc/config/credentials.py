"""`credentials` in extproc.yaml: where a secret stands and what it makes, never the secret itself."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from extproc.config.fields import IDENTIFIER, Header, Section
from extproc.credential.base import FOR, Kind


class CredentialSection(Section):
    kind: Kind = "bearer"
    env: str | None = None
    file: str | None = None
    username: str | None = None
    header: Header | None = None
    certificate: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.kind == "certificate":
            if self.env or self.file or not self.certificate or not self.key:
                raise ValueError("expected `certificate` and `key`, two files, and no `env` or `file`")
        elif bool(self.env) == bool(self.file):
            raise ValueError("expected either `env` or `file`")
        elif self.certificate or self.key:
            raise ValueError("expected `certificate` and `key` only with kind: certificate")
        if (self.kind == "header") != (self.header is not None):
            raise ValueError("expected `header`, the header's name, with kind: header and only there")
        return self

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if FOR[self.kind] == "postgres":
            name = self.username or ""
            if not 0 < len(name.encode(errors="replace")) <= IDENTIFIER or "\0" in name:
                raise ValueError(f"expected `username`, the database's user, at most {IDENTIFIER} bytes")
        elif self.username is not None and self.kind != "basic":
            raise ValueError("expected `username` only with kind: basic, password or certificate")
        return self
