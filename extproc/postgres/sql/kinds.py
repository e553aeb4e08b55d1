"""What kind of statement a parse node is: one closed list of names, PostgreSQL's commands in snake case."""

from __future__ import annotations

import re
from typing import Any, Final

_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Nodes whose name says it differently than the command does. The rest: CreatePolicyStmt is create_policy.
_NAMES: Final = {
    "CreateStmt": "create_table",
    "IndexStmt": "create_index",
    "ViewStmt": "create_view",
    "RuleStmt": "create_rule",
    "DefineStmt": "create_aggregate_operator_type",
    "CompositeTypeStmt": "create_type",
    "CreateEnumStmt": "create_type",
    "CreateRangeStmt": "create_type",
    "CreateTrigStmt": "create_trigger",
    "CreateEventTrigStmt": "create_event_trigger",
    "AlterEventTrigStmt": "alter_event_trigger",
    "CreatePLangStmt": "create_language",
    "CreateSeqStmt": "create_sequence",
    "AlterSeqStmt": "alter_sequence",
    "CreatedbStmt": "create_database",
    "DropdbStmt": "drop_database",
    "CreateAmStmt": "create_access_method",
    "CreateFdwStmt": "create_foreign_data_wrapper",
    "AlterFdwStmt": "alter_foreign_data_wrapper",
    "CreateOpClassStmt": "create_operator_class",
    "CreateOpFamilyStmt": "create_operator_family",
    "AlterOpFamilyStmt": "alter_operator_family",
    "CreateStatsStmt": "create_statistics",
    "AlterStatsStmt": "alter_statistics",
    "CreateTableSpaceStmt": "create_tablespace",
    "DropTableSpaceStmt": "drop_tablespace",
    "AlterTableSpaceOptionsStmt": "alter_tablespace",
    "AlterTableMoveAllStmt": "alter_table_all",
    "AlterTSDictionaryStmt": "alter_text_search_dictionary",
    "AlterTSConfigurationStmt": "alter_text_search_configuration",
    "AlterDatabaseRefreshCollStmt": "alter_database_refresh_collation",
    "RefreshMatViewStmt": "refresh_materialized_view",
    "SecLabelStmt": "security_label",
    "ClosePortalStmt": "close",
    "VariableShowStmt": "show",
    "CheckPointStmt": "checkpoint",
    "ConstraintsSetStmt": "set_constraints",
}
_TRANSACTION: Final = {
    1: "begin",
    2: "begin",  # START TRANSACTION
    3: "commit",
    4: "rollback",
    5: "savepoint",
    6: "release",
    7: "rollback_to",
    8: "prepare_transaction",
    9: "commit_prepared",
    10: "rollback_prepared",
}  # TransactionStmtKind
_RESET: Final = (5, 6)  # VariableSetKind: VAR_RESET, VAR_RESET_ALL
_SETOP_NONE: Final = 1


def kind_of(node: Any) -> str:
    """The kind of a statement node (an inner one, without its `Node`), e.g. "select", "create_view"."""
    name = type(node).__name__
    if name == "SelectStmt":
        return "create_table_as" if into_of(node) is not None else "select"
    if name == "TransactionStmt":
        return _TRANSACTION.get(node.kind, "transaction")
    if name == "VariableSetStmt":
        return "reset" if node.kind in _RESET else "set"
    if name == "FetchStmt":
        return "move" if node.ismove else "fetch"
    if name == "VacuumStmt":
        return "vacuum" if node.is_vacuumcmd else "analyze"
    if name in ("GrantStmt", "GrantRoleStmt"):
        return "grant" if node.is_grant else "revoke"
    return _NAMES.get(name) or _CAMEL.sub("_", name.removesuffix("Stmt")).lower()


def into_of(select: Any) -> Any | None:
    """The INTO clause of a SELECT, which stands in the first of its UNION branches; None where there is none."""
    while select.op > _SETOP_NONE:
        select = select.larg
    return select.into_clause if select.HasField("into_clause") else None
