"""What a stored approval promises: one yes, for what was seen, once, by somebody else, and never lost."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.approval.base import ApprovalError
from extproc.approval.moves import LAPSE, LEAST_USABLE
from extproc.approval.store import SqliteApprovalStore
from extproc.errors import ConfigError, Refusal
from extproc.model import Approval, ApprovalState, HoldTerms, Identity
from tests.unit.approval.people import ALICE, BOB, JOB, NOW, TERMS, WINDOW, asked, opened, person

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteApprovalStore]:
    made = opened(tmp_path)
    yield made
    made.close()


def approve(
    store: SqliteApprovalStore, approval: str, who: Identity = ALICE, now: float = NOW + 1, why: str = ""
) -> Approval:
    return store.decide(approval, who, approve=True, justification=why, now=now)


def deny(store: SqliteApprovalStore, approval: str, who: Identity = ALICE, now: float = NOW + 1) -> Approval:
    return store.decide(approval, who, approve=False, justification="no", now=now)


def state_of(store: SqliteApprovalStore, approval: str) -> ApprovalState:
    found = store.get(approval)
    assert found is not None
    return found.state


# --- opening


def test_what_is_opened_comes_back_whole(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    assert approval.state == "pending"
    assert approval.expires_at == NOW + TERMS.timeout
    assert store.get(approval.id) == approval
    assert approval.request == asked()


def test_the_same_request_joins_what_is_pending(store: SqliteApprovalStore, tmp_path: Path) -> None:
    first = store.open(asked(), NOW)
    second = opened(tmp_path)
    assert second.open(asked(exchange="x-2"), NOW + 1).id == first.id
    assert store.open(asked("e" * 64), NOW).id != first.id
    second.close()


@pytest.mark.parametrize(
    "terms",
    [
        replace(TERMS, minimum=2),
        replace(TERMS, approvers=("group:security",)),
        replace(TERMS, justify=True),
        WINDOW,
    ],
)
def test_a_yes_under_other_terms_is_no_yes(store: SqliteApprovalStore, terms: HoldTerms) -> None:
    approval = store.open(asked(), NOW)
    approve(store, approval.id)
    assert store.open(asked(terms=terms), NOW + 2).state == "pending"


def test_an_unused_yes_is_found_again_by_a_client_that_comes_back(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    approve(store, approval.id, now=NOW + 59)
    found = store.open(asked(), NOW + 59 + LEAST_USABLE - 1)
    assert (found.id, found.state) == (approval.id, "approved")


def test_a_yes_is_not_good_for_ever(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    approve(store, approval.id, now=NOW + 59)
    late = NOW + 59 + LEAST_USABLE
    assert not store.use(approval.id, late)
    assert store.open(asked(), late).id != approval.id


@pytest.mark.parametrize("end", ["denied", "expired", "cancelled", "used"])
def test_what_has_ended_never_blocks_a_new_question(store: SqliteApprovalStore, end: str) -> None:
    approval = store.open(asked(), NOW)
    if end == "denied":
        deny(store, approval.id)
    elif end == "cancelled":
        store.cancel(approval.id, NOW)
    elif end == "used":
        approve(store, approval.id)
        assert store.use(approval.id, NOW + 2)
    now = NOW + 60 if end == "expired" else NOW + 3
    again = store.open(asked(), now)
    assert state_of(store, approval.id) == end
    assert again.id != approval.id
    assert again.state == "pending"


def _open_in_another_process(folder: str) -> str:
    store = opened(Path(folder))
    try:
        return store.open(asked(), NOW).id
    finally:
        store.close()


def test_processes_that_open_a_new_database_and_the_same_thing_at_once_get_one_approval(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=SPAWN) as pool:
        ids = list(pool.map(_open_in_another_process, [str(tmp_path)] * 8))
    assert len(set(ids)) == 1


def test_a_new_database_that_another_process_is_just_setting_up_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "approvals.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE something (x)")
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    done.start()
    opened(tmp_path).close()
    done.join()
    other.close()


# --- answering


def test_a_job_cannot_answer(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    with pytest.raises(ApprovalError) as refused:
        approve(store, approval.id, person("alice", kind="job"))
    assert refused.value.code == "not_a_person"


@pytest.mark.parametrize(
    ("approvers", "who", "may"),
    [
        (("group:data-owners",), person("alice"), True),
        (("data-owners",), person("alice"), True),
        (("user:alice",), person("alice", "others"), True),
        (("user:bob", "group:data-owners"), person("alice"), True),
        (("group:data-owners",), person("alice", "Data-Owners"), False),
        (("alice",), person("alice"), False),
        (("user:data-owners",), person("alice"), False),
        (("group:alice",), person("alice"), False),
        (("user:",), person(""), False),
        (("group:data-owners",), person(""), False),
        ((), person("alice"), False),
    ],
)
def test_only_whom_the_terms_name_may_answer(
    store: SqliteApprovalStore, approvers: tuple[str, ...], who: Identity, *, may: bool
) -> None:
    approval = store.open(asked(terms=replace(TERMS, approvers=approvers)), NOW)
    if may:
        assert approve(store, approval.id, who).state == "approved"
        return
    for answer in (approve, deny):
        with pytest.raises(ApprovalError) as refused:
            answer(store, approval.id, who)
        assert refused.value.code == "not_an_approver"
    assert state_of(store, approval.id) == "pending"


@pytest.mark.parametrize("name", ["mona", "Mona", "MONA ", "\uff4d\uff4f\uff4e\uff41", "octocat", "Octocat"])
def test_nobody_answers_a_request_of_their_own(store: SqliteApprovalStore, name: str) -> None:
    approval = store.open(asked(), NOW)
    with pytest.raises(ApprovalError) as refused:
        approve(store, approval.id, person(name))
    assert refused.value.code == "own_request"


@pytest.mark.parametrize("actor", ["stranger", ""])
def test_where_nobody_knows_the_requester_two_must_say_yes(store: SqliteApprovalStore, actor: str) -> None:
    approval = store.open(asked(identity=replace(JOB, claims={"actor": actor})), NOW)
    assert approval.required == 2
    half = approve(store, approval.id, ALICE)
    assert (half.state, half.decided_by) == ("pending", ("alice",))
    assert not store.use(approval.id, NOW + 2)
    assert approve(store, approval.id, BOB).state == "approved"


def test_an_actor_mapped_to_an_empty_name_is_unknown(tmp_path: Path) -> None:
    store = opened(tmp_path, {"octocat": " "})
    assert store.open(asked(), NOW).required == 2
    store.close()


def test_the_stricter_of_two_configurations_counts(store: SqliteApprovalStore, tmp_path: Path) -> None:
    approval = store.open(asked(), NOW)
    assert approval.required == 1
    forgot = opened(tmp_path, {})
    assert approve(forgot, approval.id).state == "pending"
    forgot.close()


@pytest.mark.parametrize(
    "again",
    [ALICE, person("Alice", subject="another"), person("renamed", subject=ALICE.subject)],
)
def test_one_person_counts_once(store: SqliteApprovalStore, again: Identity) -> None:
    approval = store.open(asked(terms=replace(TERMS, minimum=2)), NOW)
    approve(store, approval.id, ALICE)
    with pytest.raises(ApprovalError) as refused:
        approve(store, approval.id, again)
    assert refused.value.code == "already_answered"
    assert state_of(store, approval.id) == "pending"


def test_one_no_is_enough_even_from_who_said_yes(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, minimum=2)), NOW)
    approve(store, approval.id, ALICE)
    denied = deny(store, approval.id, ALICE)
    assert (denied.state, denied.decided_by, denied.justification) == ("denied", ("alice",), "no")
    with pytest.raises(ApprovalError):
        approve(store, approval.id, BOB)
    assert not store.use(approval.id, NOW + 2)


def test_terms_that_ask_for_a_justification_get_one(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, justify=True)), NOW)
    with pytest.raises(ApprovalError) as refused:
        approve(store, approval.id, why="  \n")
    assert refused.value.code == "justification_required"
    assert approve(store, approval.id, why=" ticket 4711 ").justification == "ticket 4711"


def test_each_of_two_justifications_keeps_its_author(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, minimum=2)), NOW)
    approve(store, approval.id, ALICE, NOW + 1, "seen")
    done = approve(store, approval.id, BOB, NOW + 2, "seen too")
    assert done.decided_by == ("alice", "bob")
    assert done.justification == "alice: seen\nbob: seen too"


def test_an_answer_at_the_end_or_after_it_is_too_late(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    for answer in (approve, deny):
        with pytest.raises(ApprovalError) as refused:
            answer(store, approval.id, ALICE, NOW + TERMS.timeout)
        assert refused.value.code == "too_late"
    approve(store, approval.id, ALICE, NOW + TERMS.timeout - 0.1)
    with pytest.raises(ApprovalError) as refused:
        deny(store, approval.id, BOB)
    assert refused.value.code == "too_late"


def test_what_does_not_exist_is_not_found(store: SqliteApprovalStore) -> None:
    assert store.get("a-nothing") is None
    with pytest.raises(ApprovalError) as refused:
        approve(store, "a-nothing")
    assert refused.value.code == "not_found"


# --- using


def test_a_yes_is_used_once(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    assert not store.use(approval.id, NOW)
    approve(store, approval.id)
    assert [store.use(approval.id, NOW + 2) for _ in range(3)] == [True, False, False]
    assert state_of(store, approval.id) == "used"


def test_threads_and_stores_that_use_at_once_get_one_yes(tmp_path: Path) -> None:
    stores = [opened(tmp_path) for _ in range(2)]
    approval = stores[0].open(asked(), NOW)
    approve(stores[0], approval.id)
    start = threading.Barrier(8)

    def use(number: int) -> bool:
        start.wait()
        return stores[number % 2].use(approval.id, NOW + 2)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1
    for store in stores:
        store.close()


def _use_in_another_process(folder: str, approval: str) -> bool:
    store = opened(Path(folder))
    try:
        return store.use(approval, NOW + 2)
    finally:
        store.close()


def test_processes_that_use_at_once_get_one_yes(store: SqliteApprovalStore, tmp_path: Path) -> None:
    approvals = [store.open(asked(str(n) * 64), NOW).id for n in range(4)]
    for approval in approvals:
        approve(store, approval)
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        used = list(pool.map(_use_in_another_process, [str(tmp_path)] * 8, sorted(approvals * 2)))
    assert sum(used) == 4


def test_a_window_is_used_many_times_until_it_ends(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=WINDOW), NOW)
    assert approve(store, approval.id).granted_until == NOW + 1 + 3600
    assert all(store.use(approval.id, NOW + at) for at in (2, 100, 3600))
    assert not store.use(approval.id, NOW + 3601)
    assert store.open(asked(terms=WINDOW), NOW + 3601).state == "pending"
    assert state_of(store, approval.id) == "expired"


def test_a_window_covers_another_request_of_its_scope(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=WINDOW), NOW)
    approve(store, approval.id)
    other_run = replace(JOB, claims={"actor": "Octocat", "run_id": "8"})
    found = store.open(asked("e" * 64, terms=WINDOW, identity=other_run), NOW + 2)
    assert (found.id, found.state) == (approval.id, "approved")


def test_a_window_covers_no_other_scope_identity_actor_resource_or_terms(store: SqliteApprovalStore) -> None:
    approve(store, store.open(asked(terms=WINDOW), NOW).id)
    others = [
        asked("e" * 64, terms=replace(WINDOW, scope="GET /secrets")),
        asked("e" * 64, terms=replace(WINDOW, grant_seconds=7200.0)),
        asked("e" * 64, terms=replace(WINDOW, minimum=2)),
        asked("e" * 64, terms=TERMS),
        asked("e" * 64, terms=WINDOW, resource="other"),
        asked("e" * 64, terms=WINDOW, identity=replace(JOB, subject="repo:acme/other")),
        asked("e" * 64, terms=WINDOW, identity=replace(JOB, issuer="https://other")),
        asked("e" * 64, terms=WINDOW, identity=replace(JOB, claims={"actor": "alice"})),
    ]
    for request in others:
        assert store.open(request, NOW + 2).state == "pending", request


def test_a_window_that_an_approver_gave_another_does_not_cover_a_run_of_their_own(tmp_path: Path) -> None:
    store = opened(tmp_path, {"octocat": "mona", "hubot": "alice"})
    given = approve(store, store.open(asked(terms=WINDOW), NOW).id, ALICE)
    own_run = replace(JOB, claims={"actor": "hubot"})
    own = store.open(asked("e" * 64, terms=WINDOW, identity=own_run), NOW + 2)
    assert (given.required, given.decided_by, own.required) == (1, ("alice",), 1)
    assert own.state == "pending"
    store.close()


def test_a_window_without_a_scope_is_good_for_once_only(store: SqliteApprovalStore) -> None:
    terms = replace(TERMS, grant_seconds=3600.0)
    approval = store.open(asked(terms=terms), NOW)
    assert approve(store, approval.id).granted_until == 0
    assert [store.use(approval.id, NOW + 2) for _ in range(2)] == [True, False]


# --- leaving, cancelling, expiring


def test_cancelling_never_takes_a_yes_back(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    approve(store, approval.id)
    store.cancel(approval.id, NOW + 2)
    store.leave(approval.id, "worker", NOW + 2)
    assert store.use(approval.id, NOW + 3)


def test_nobody_says_yes_to_what_was_cancelled(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW)
    store.cancel(approval.id, NOW)
    with pytest.raises(ApprovalError) as refused:
        approve(store, approval.id)
    assert refused.value.code == "too_late"


def test_only_the_last_who_leaves_cancels(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(), NOW, "one")
    store.open(asked(), NOW, "two")
    store.leave(approval.id, "one", NOW + 1)
    assert state_of(store, approval.id) == "pending"
    store.leave(approval.id, "two", NOW + 1)
    assert state_of(store, approval.id) == "cancelled"


def test_what_a_killed_worker_left_behind_stays_pending_and_is_joined(tmp_path: Path) -> None:
    worker = SPAWN.Process(target=_open_and_die, args=(str(tmp_path),))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    store = opened(tmp_path)
    (left,) = store.list("pending")
    joined = store.open(asked(), NOW + 1, "new")
    assert joined.id == left.id
    store.leave(joined.id, "new", NOW + 2)
    assert state_of(store, left.id) == "pending"
    assert approve(store, left.id).state == "approved"
    store.close()


def _open_and_die(folder: str) -> None:
    opened(Path(folder)).open(asked(), NOW, "killed")
    signal.raise_signal(signal.SIGKILL)


def test_a_waiter_without_a_sign_of_life_keeps_nothing_pending(store: SqliteApprovalStore) -> None:
    terms = replace(TERMS, timeout=600.0)
    kept, gone = (store.open(asked(d * 64, terms=terms), NOW, "silent").id for d in "ab")
    for approval in (kept, gone):
        store.join(approval, "other", NOW)
    store.leave(kept, "other", NOW + LAPSE - 1)
    assert state_of(store, kept) == "pending"
    store.leave(gone, "other", NOW + LAPSE)
    assert state_of(store, gone) == "cancelled"


def test_a_waiter_with_signs_of_life_does(store: SqliteApprovalStore) -> None:
    approval = store.open(asked(terms=replace(TERMS, timeout=600.0)), NOW, "alive")
    store.join(approval.id, "other", NOW)
    store.touch("alive", NOW + LAPSE)
    store.leave(approval.id, "other", NOW + LAPSE + 1)
    assert state_of(store, approval.id) == "pending"


def test_what_is_overdue_expires_and_wakes_nobody_twice(store: SqliteApprovalStore) -> None:
    pending, yes = store.open(asked(), NOW), store.open(asked("e" * 64), NOW)
    approve(store, yes.id)
    assert store.expire(NOW + 59) == 0
    assert store.expire(NOW + 60) == 1
    version = store.version()
    assert store.expire(NOW + 60) == 0
    assert store.version() == version
    assert state_of(store, pending.id) == "expired"
    assert state_of(store, yes.id) == "approved"
    assert store.expire(NOW + 1 + LEAST_USABLE) == 1


# --- watching


def test_the_version_changes_with_every_write_also_of_the_same_store(
    store: SqliteApprovalStore, tmp_path: Path
) -> None:
    other = opened(tmp_path)
    versions = [store.version()]
    approval = store.open(asked(), NOW)
    versions.append(store.version())
    approve(other, approval.id)
    versions.append(store.version())
    assert len(set(versions)) == 3
    assert store.version() == versions[-1]
    other.close()


def test_changes_are_numbered_and_none_is_missed_where_a_list_is_cut(
    store: SqliteApprovalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extproc.approval.store.LISTED", 2)
    ids = [store.open(asked(str(n) * 64), NOW).id for n in range(5)]
    seen, position = [], 0
    while True:
        following, found = store.changes(position)
        if not found:
            break
        seen += [one.id for one in found]
        position = following
    assert seen == ids
    assert position == store.position()
    store.expire(NOW + 60)
    _, expired = store.changes(position)
    assert {one.id for one in expired} == set(ids)


def test_lists_are_by_state_and_the_newest_first(store: SqliteApprovalStore) -> None:
    old = store.open(asked(), NOW)
    new = store.open(asked("e" * 64, created_at=NOW + 1), NOW + 1)
    deny(store, old.id)
    assert [one.id for one in store.list()] == [new.id, old.id]
    assert [one.id for one in store.list("pending")] == [new.id]
    assert [one.id for one in store.settled([new.id, old.id, "a-nothing"])] == [old.id]


# --- what can go wrong


def test_a_database_that_another_process_holds_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.approval.store._BUSY", 0.05)
    store = opened(tmp_path)
    holder = sqlite3.connect(tmp_path / "approvals.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refusal) as refused:
        store.open(asked(), NOW)
    assert refused.value.code.name == "approval_unavailable"
    holder.execute("ROLLBACK")
    assert store.open(asked(), NOW).state == "pending"
    holder.close()
    store.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "approvals.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Refusal) as refused:
        opened(tmp_path)
    assert refused.value.code.name == "approval_unavailable"


def test_a_row_that_is_not_ours_is_unavailable(store: SqliteApprovalStore, tmp_path: Path) -> None:
    approval = store.open(asked(), NOW)
    with sqlite3.connect(tmp_path / "approvals.db") as db:
        db.execute("UPDATE approvals SET request = ?", (b"{}",))
    db.close()
    with pytest.raises(Refusal):
        store.get(approval.id)


def test_a_newer_database_is_left_alone(store: SqliteApprovalStore, tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "approvals.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ConfigError):
        opened(tmp_path)


def test_the_database_is_for_its_owner_alone_and_syncs_every_commit(store: SqliteApprovalStore, tmp_path: Path) -> None:
    assert (tmp_path / "approvals.db").stat().st_mode & 0o077 == 0
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
