from __future__ import annotations

import base64
import os
import random
from pathlib import Path

from extproc.record.bodies import PIECE, BodyRecord
from extproc.record.index import Index
from extproc.record.log import SegmentLog
from extproc.record.replay import Exchange, replay
from extproc.record.segment import segments
from tests.unit.record.logs import NOW, exchange, open_log, records, ticking


def body(
    log: SegmentLog,
    name: str,
    data: bytes,
    *,
    kind: str = "response.body",
    limit: int = 8 * PIECE,
    media_type: bytes = b"text/plain",
) -> None:
    sink = BodyRecord(
        log, "s-1", name, kind, limit=limit, media_type=media_type, level="full", clock=ticking(), key=b"k"
    )
    for start in range(0, len(data), 700_000):
        sink.add(data[start : start + 700_000])
    sink.close()


def read(folder: Path, session: str = "s-1", exchange: str | None = None) -> list[Exchange]:
    index = Index(folder.parent / "index.db", folder)
    index.update()
    found = replay(folder, index, session, exchange)
    index.close()
    return found


def test_bodies_come_back_byte_for_byte(tmp_path: Path) -> None:
    random.seed(1)
    sent = [os.urandom(random.randint(1, 3000)) for _ in range(20)] + [os.urandom(3 * PIECE + 1)]
    log = open_log(tmp_path / "records")
    for number, data in enumerate(sent):
        body(log, f"x-{number:02}", data, kind="request.body")
        body(log, f"x-{number:02}", data[::-1])
        exchange(log, "s-1", f"x-{number:02}")
    log.close()
    found = read(tmp_path / "records")
    assert len(found) == len(sent)
    for one, data in zip(found, sent, strict=True):
        assert one.request_body is not None
        assert one.response_body is not None
        assert one.request_body.data == data
        assert one.response_body.data == data[::-1]
        assert one.response_body.complete
        assert not one.response_body.truncated
        assert not one.problems


def test_an_exchange_shows_what_was_asked_decided_and_answered(tmp_path: Path) -> None:
    log = open_log(tmp_path / "records")
    exchange(log, "s-1", "x-1", summary="GET /customers.json")
    log.append("s-1", "x-2", "request.attempt", {"summary": "DELETE /1", "decision": {"action": "hold"}})
    log.append("s-1", "x-2", "hold.opened", {"approval": "a-1", "state": "pending"})
    log.append("s-1", "x-2", "hold.ended", {"approval": "a-1", "state": "denied", "by": ["mona"]})
    log.append("s-1", "x-2", "request.refused", {"code": "approval_denied", "status": 403, "summary": "DELETE /1"})
    exchange(log, "s-2", "x-3")
    log.close()
    one, two = read(tmp_path / "records")
    assert (one.summary, one.outcome, one.released) == ("GET /customers.json", "released", True)
    assert one.response["status"] == 200
    assert one.attempt["decision"]["action"] == "allow"
    assert (two.outcome, two.released) == ("approval_denied", False)
    assert [hold["state"] for hold in two.holds] == ["pending", "denied"]
    assert [e.exchange for e in read(tmp_path / "records", exchange="x-2")] == ["x-2"]
    assert read(tmp_path / "records", "s-9") == []


def test_a_session_over_several_workers_and_segments_is_whole_and_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    for part in range(3):
        for worker in range(2):
            clock = ticking(NOW + 100 * (part * 2 + worker))
            log = SegmentLog(folder, f"worker-{worker}", clock=clock, deadline=1)
            exchange(log, "s-1", f"x-{part * 2 + worker}")
            exchange(log, "s-other", f"y-{part}-{worker}")
            log.close()
    assert all(len(files) == 3 for files in segments(folder).values())
    assert [e.exchange for e in read(folder)] == [f"x-{n}" for n in range(6)]


def test_a_body_cut_at_its_limit_or_not_recorded_says_so(tmp_path: Path) -> None:
    log = open_log(tmp_path / "records")
    body(log, "x-1", b"a" * 100, limit=10)
    body(log, "x-2", b"\x89PNG", media_type=b"image/png")
    log.close()
    cut, binary = (one.response_body for one in read(tmp_path / "records"))
    assert cut is not None
    assert binary is not None
    assert (cut.data, cut.size, cut.truncated, cut.complete) == (b"a" * 10, 100, True, True)
    assert (binary.data, binary.size, binary.truncated) == (b"", 4, True)
    assert len(binary.hmac) == 64


def test_a_body_without_its_end_is_not_complete(tmp_path: Path) -> None:
    log = open_log(tmp_path / "records")
    sink = BodyRecord(
        log, "s-1", "x-1", "response.body", limit=PIECE, media_type=b"text/plain", level="full", clock=lambda: NOW,
        key=b"k",
    )  # fmt: skip
    sink.add(bytes(PIECE))
    log.close()
    [one] = read(tmp_path / "records")
    assert one.response_body is not None
    assert not one.response_body.complete
    assert one.response_body.size == PIECE


def test_a_damaged_piece_is_told_and_not_papered_over(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    log = open_log(folder)
    body(log, "x-1", b"a" * (3 * PIECE))
    log.close()
    piece = records(folder)[1]
    data = bytearray(piece.path.read_bytes())
    data[piece.end - 1] ^= 1
    piece.path.write_bytes(data)
    [one] = read(folder)
    assert one.problems
    assert one.response_body is not None
    assert one.response_body.truncated


def test_a_body_as_json_is_text_where_it_can_be(tmp_path: Path) -> None:
    log = open_log(tmp_path / "records")
    body(log, "x-1", "ä".encode())
    body(log, "x-2", b"\xff\x00")
    log.close()
    text, raw = (one.document(bodies=True)["response_body"] for one in read(tmp_path / "records"))
    assert text["text"] == "ä"
    assert base64.b64decode(raw["base64"]) == b"\xff\x00"
    assert "response_body" not in read(tmp_path / "records")[0].document(bodies=False)
