"""extproc.yaml as one validated model. A bad one never starts; every complaint says file, line, field, value, expected.

Paths in the file are relative to its folder.
"""

from extproc.config.credentials import CredentialSection
from extproc.config.document import Config, load
from extproc.config.resources import HttpSection, PostgresSection

__all__ = ["Config", "CredentialSection", "HttpSection", "PostgresSection", "load"]
