"""Strings and comments: what the parser reads is what a server reads."""

from __future__ import annotations

import pytest

from tests.integration.postgres import Server
from tests.unit.postgres.sql.test_comments import CONTINUED, REFUSED


@pytest.mark.parametrize("literal", CONTINUED | REFUSED)
def test_a_server_reads_the_same_string(server: Server, literal: str) -> None:
    assert server.psql(f"SELECT {literal}") == (CONTINUED | REFUSED)[literal]


def test_a_do_block_whose_source_goes_on_after_a_comment_runs_as_one(server: Server) -> None:
    server.psql("CREATE TABLE IF NOT EXISTS victims AS SELECT 1 AS a")
    server.psql("DO 'BEGIN DELETE FROM victims; END; --' -- harmless\n'BEGIN NULL; END'")
    assert server.psql("SELECT count(*) FROM victims") == "0"
