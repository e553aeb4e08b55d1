"""A connection that is logged in: what its flows share, and how one statement is read and decided."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Literal

from extproc.errors import Refusal
from extproc.identity.base import Proof
from extproc.model import PostgresResource
from extproc.pipeline import Arrival, Permit, Services, on_request
from extproc.postgres import problem, settings
from extproc.postgres.events import ReadCatalog
from extproc.postgres.link import Link, Steps
from extproc.postgres.names import Names
from extproc.postgres.operation import Parameter, SqlOperation, doubted, merged
from extproc.postgres.reading import Reading
from extproc.postgres.sql.model import Analysis, SqlError, Step
from extproc.postgres.sql.steps import moves_names

# Seconds after which the catalog is looked at again: somebody beside the gateway may have changed it.
LOOK_AGAIN: Final = 10.0
_NAMELESS: Final = frozenset({"begin", "commit", "rollback", "set", "show"})  # kinds
ENDS: Final = frozenset({"commit", "rollback", "prepare"})  # of a transaction block
_UNDOES: Final = ENDS | {"rollback_to"}  # what was changed in the transaction may be gone afterwards
_GONE: Final = "the transaction in which its names were read ends before it"

Protocol = Literal["simple", "extended"]


@dataclass(frozen=True, slots=True)
class Context:
    """What does not change while a connection lives. `proof` is verified anew with each statement."""

    connection: str
    number: int
    resource: PostgresResource
    services: Services
    proof: Proof
    source: str
    user: str
    control_url: str
    new_exchange: Callable[[], str]


class Talk:
    """
    `status` is the server's last ReadyForQuery (I, T, E); `at_rest` is False while an extended exchange has not been
    ended with Sync: then nothing of the gateway's own may be run in between.
    """

    def __init__(self, context: Context, link: Link, reading: Reading) -> None:
        self.context = context
        self.link = link
        self.names = Names()
        self.reading = reading
        self.status = b"I"
        self.at_rest = True
        self.statements = 0
        self.exchange = ""  # of the statement that was asked about last
        self._stale = False
        # Definitions or search_path were changed in this transaction, and are not any more if it is rolled back.
        self._changed = False
        self._looked = context.services.clock()

    # --- reading

    def understand(self, text: str) -> Generator[Any, Any, tuple[Analysis, Refusal | None]]:
        """A query string by the catalog as it is now, and why it cannot be taken, if so."""
        try:
            if not self._needs_no_names(text):
                yield from self.refresh()
        except Refusal as refusal:
            return Analysis(text, (), ()), refusal
        return self.read(text)

    def _needs_no_names(self, text: str) -> bool:
        """
        It means the same whatever the catalog holds. The end of a transaction must be possible when the catalog cannot
        be looked at, and SET TRANSACTION comes before any query.
        """
        if self.status == b"I":
            return False
        with contextlib.suppress(SqlError):
            steps = self.reading.analyse(text).steps
            return bool(steps) and all(step.kind in _NAMELESS for step in steps)
        return False

    def read(self, text: str) -> tuple[Analysis, Refusal | None]:
        """As `understand`, by the catalog as it was."""
        try:
            analysis = self._settled(self._complete(self.reading.analyse(text)))
            settings.require_open(analysis, read_only=self.context.resource.read_only)
        except SqlError as error:
            doubt = Refusal("statement_malformed", str(error), sqlstate=error.sqlstate, position=error.position)
            return Analysis(text, (), ()), doubt
        except Refusal as refusal:
            return Analysis(text, (), ()), refusal
        return analysis, None

    def _complete(self, analysis: Analysis) -> Analysis:
        """With what the statement runs by a name of this connection's."""
        by_name = [(step, found) for step in analysis.steps if (found := self.names.of_step(step)) is not None]
        if not by_name:
            return analysis
        if len(analysis.steps) != 1:
            # The name might be given anew by an earlier statement of the same string.
            raise Refusal("statement_refused", "EXECUTE and FETCH must be statements of their own")
        step, found = by_name[0]
        if step.executes:
            found = self.reading.analyse(found.text)  # prepared statements take new definitions, cursors do not
        return merged(analysis, found, "execute" if step.executes else "cursor")

    def _settled(self, analysis: Analysis) -> Analysis:
        """What follows the end of a transaction in the same string does not see what was changed in it."""
        if self._changed:
            for place, step in enumerate(analysis.steps[:-1], 1):
                if step.transaction in _UNDOES:
                    return doubted(analysis, place, _GONE)
        return analysis

    def operation(
        self,
        analysis: Analysis,
        protocol: Protocol,
        parameters: tuple[Parameter, ...] = (),
        *,
        step: Literal["execute", "prepare"] = "execute",
    ) -> SqlOperation:
        catalog = self.reading.catalog
        return SqlOperation(
            text=analysis.text,
            analysis=analysis,
            protocol=protocol,
            step=step,
            database=self.context.resource.database,
            user=self.context.user,
            search_path=catalog.search_path,
            definitions=catalog.fingerprint,
            parameters=parameters,
        )

    def refresh(self) -> Generator[Any, Any, None]:
        """The catalog as it is now, where it may have changed and the server can be asked."""
        now = self.context.services.clock()
        if not (self._stale or now - self._looked > LOOK_AGAIN):
            return
        if not self.at_rest:
            if self._stale:
                raise Refusal("statement_refused", "after a change of definitions the next statement needs a Sync")
            return
        if self.status == b"E":
            return  # the server takes nothing but the end of the transaction
        yield from self.link.flush()
        self.reading = yield ReadCatalog(in_transaction=self.status == b"T")
        self._stale, self._looked = False, now

    # --- deciding

    def decide(self, operation: SqlOperation, doubt: Refusal | None) -> Generator[Any, Any, Permit]:
        """Raises `Refusal`."""
        context = self.context
        self.statements += 1
        self.exchange = context.new_exchange()
        arrival = Arrival(
            exchange=self.exchange,
            resource=context.resource,
            operation=operation,
            proof=lambda: context.proof,
            source={"address": context.source},
            long_wait=self._held,
            look_again=lambda: self._look_again(operation),
            connection={"connection": context.connection, "number": context.number, "statement": self.statements},
            doubt=doubt,
            executes=operation.step == "execute",
        )
        return (yield from on_request(arrival, context.services))

    def _held(self, approval: str, seconds: float) -> Steps:
        """Clients show notices while they wait: the client learns why nothing comes."""
        url = f"{self.context.control_url}/v1/approvals/{approval}" if self.context.control_url else ""
        detail = f"approval {approval}, at most {seconds:.0f} s"
        self.link.say(problem.notice("waiting for approval", detail=detail, hint=f"See {url}" if url else ""))
        yield from self.link.flush()

    def _look_again(self, operation: SqlOperation) -> Steps:
        """What the statement means must be what people said yes to."""
        if not self.at_rest:
            raise Refusal("statement_refused", "a statement that is held must be the first after a Sync")
        if self.status != b"E":
            self.reading = yield ReadCatalog(in_transaction=self.status == b"T")
            self._looked = self.context.services.clock()
        catalog = self.reading.catalog
        if (catalog.fingerprint, catalog.search_path) != (operation.definitions, operation.search_path):
            raise Refusal("policy_denied", "definitions changed while the statement was held")

    def tell(self, refusal: Refusal, exchange: str) -> None:
        """The client's error. Raises the refusal again where the connection cannot go on with it."""
        if problem.is_fatal(refusal):
            raise refusal
        self.link.say(problem.error(refusal, exchange=exchange, control_url=self.context.control_url))

    # --- what follows from a statement

    def done(self, step: Step) -> None:
        """The server has completed a statement."""
        self.names.done(step)
        self.failed(step)
        if step.transaction == "rollback_to":
            self._stale = self._stale or self._changed

    def failed(self, step: Step) -> None:
        """The server has ended a statement with an error: a procedure may have committed some of it before."""
        if step.changes_catalog or moves_names(step):
            self._stale = self._changed = True

    def at_ready(self, status: bytes) -> None:
        """ReadyForQuery."""
        if status == b"I":
            self.names.transaction_ended()
            self._stale, self._changed = self._stale or self._changed, False
        self.status = status
        self.at_rest = True
