"""Whether the logs are whole: every hash, every link, and every log still as long as it was when it was indexed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from extproc.model import JSON
from extproc.record.cursor import Files, Head, Problem, read_on, shrunk, start_of
from extproc.record.segment import Record, segments


@dataclass(slots=True)
class Report:
    """
    `problems` must not be; `torn` are incomplete ends, as a crash or a write under way leaves them; `lost` counts
    events that a disk would not take, for which nothing was released, as the logs themselves say.
    """

    logs: int = 0
    segments: int = 0
    events: int = 0
    lost: int = 0
    problems: list[Problem] = field(default_factory=list)
    torn: list[Problem] = field(default_factory=list)

    def document(self) -> dict[str, JSON]:
        return {"ok": not self.problems, **asdict(self)}


def verify(records_dir: Path, *, heads: Mapping[str, Head], logs: Collection[str] | None = None) -> Report:
    """
    Read every log, or those named in `logs`, from its first event. Raises `OSError`.

    `heads` are what an index remembers of them: without it, events cut off at the end of a log cannot be missed.
    """
    found = segments(records_dir)
    report = Report()
    for log in sorted(set(found) | set(heads) if logs is None else logs):
        _verify_log(log, found.get(log, []), heads.get(log), report)
    return report


def _verify_log(log: str, files: Files, remembered: Head | None, report: Report) -> None:
    report.logs += 1
    report.segments += len(files)
    if remembered is not None:
        problem = shrunk(log, remembered, files)
        if problem is not None:
            report.problems.append(problem)
    for item, head in read_on(start_of(log), files):
        if isinstance(item, Problem):
            report.problems.append(item)
        elif not isinstance(item, Record):
            report.torn.append(Problem(item.path.name, item.offset, item.what))
        else:
            report.events += 1
            if item.event.kind == "log.resumed":
                lost = item.event.payload.get("lost")
                report.lost += lost if isinstance(lost, int) else 0
            if remembered is not None and head.seq == remembered.seq and head.hash != remembered.hash:
                report.problems.append(Problem(item.path.name, item.offset, "the event is not the one indexed before"))
