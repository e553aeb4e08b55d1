"""What the documents say is what the code does: fields, codes, metrics, commands, links, examples."""

from __future__ import annotations

import json
import re
import shutil
import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import click
import jsonschema
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from extproc import metrics
from extproc.cli import cli
from extproc.config import Config, load
from extproc.errors import CODES
from extproc.policy.decision import read_decision
from extproc.policy.embedded import EmbeddedEngine
from extproc.postgres import problem, settings
from extproc.postgres.sql.steps import TRACKED

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("envoy/*.md")])
SPEAKING = [*PAGES, ROOT / "demo" / "__main__.py", ROOT / "docker-compose.yml"]  # they tell people what to type


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def fences(text: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of each table."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def codes_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- docs/configuration.md


def kind_of(model: type[BaseModel]) -> str:
    """The kind that a section of several is for; the page has a table under a heading for each."""
    field = model.model_fields.get("kind")
    values = get_args(field.annotation) if field else ()
    return str(values[0]) if len(values) == 1 else ""


def sections(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The models within a field's type, and how the page writes the way to them."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    elif origin is Annotated:
        yield from sections(get_args(annotation)[0])
    elif origin is list:
        yield from ((model, "[]" + way) for model, way in sections(get_args(annotation)[0]))
    elif origin is dict:
        yield from ((model, ".*" + way) for model, way in sections(get_args(annotation)[1]))
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from sections(part)


def fields(model: type[BaseModel], prefix: str = "", kind: str = "") -> Iterator[tuple[str, str, FieldInfo, bool]]:
    """Kind, dotted name, the field, and whether it is only a heading for those within."""
    for name, field in model.model_fields.items():
        within = list(sections(field.annotation))
        yield kind, prefix + name, field, bool(within)
        for inner, way in within:
            yield from fields(inner, f"{prefix}{name}{way}.", kind or kind_of(inner))


def described(text: str) -> dict[tuple[str, str], str]:
    """The default that the page says for each field, by kind and dotted name."""
    parts = re.split(r"^### Resources of kind `(\w+)`$", text, flags=re.MULTILINE)
    by_kind = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    return {(kind, codes_in(row[0])[0]): row[2] for kind, part in by_kind.items() for row in rows(part)}


def default_of(field: FieldInfo) -> object:
    value = field.get_default(call_default_factory=True)
    return str(value) if isinstance(value, Path) else value


def test_every_field_of_the_configuration_is_described_with_its_default() -> None:
    said = described(page("configuration.md"))
    known = {(kind, name): (field, heading) for kind, name, field, heading in fields(Config)}
    assert {kind for kind, _ in known} == {"", "http", "postgres"}
    assert {name for name, (_, heading) in known.items() if not heading} <= set(said)
    assert set(said) <= set(known)
    for name, default in said.items():
        field = known[name][0]
        if field.is_required():
            assert default == "required", name
        else:
            assert yaml.safe_load(default.strip("`")) == default_of(field), name


def test_the_examples_of_a_configuration_load(tmp_path: Path) -> None:
    pages = page("configuration.md") + page("postgres.md")
    examples = [text for language, text in fences(pages) if language == "yaml"]
    assert len(examples) >= 3
    for example in examples:
        (tmp_path / "extproc.yaml").write_text(example)
        load(tmp_path / "extproc.yaml")


# --- docs/errors.md, docs/operations.md, docs/records.md


def test_every_code_is_described_with_its_status() -> None:
    said = {row[0].strip("`"): row[1] for row in rows(page("errors.md")) if len(row) == 4}
    assert set(said) == set(CODES)
    for name, status in said.items():
        expected = "as Envoy has it" if name == "gateway_error" else str(CODES[name].status)
        assert status.split(",")[0] == expected, name


def test_every_metric_is_described_with_its_labels() -> None:
    found = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    known = {collected.name: m._labelnames for m in found for collected in m.describe()}
    said = {
        row[0].strip("`").removesuffix("_total"): tuple(codes_in(row[1]))
        for row in rows(page("operations.md"))
        if row[0].startswith("`extproc_") and len(row) == 3
    }
    assert said == known
    mentioned = set(re.findall(r"extproc_[a-z_]+", page("operations.md")))
    endings = ("_total", "_bucket")
    assert {re.sub(f"({'|'.join(endings)})$", "", name) for name in mentioned} <= set(known)


def test_every_kind_of_event_is_described() -> None:
    pattern = r'"((?:session|request|hold|response|exchange|connection|log)\.[a-z]+)"'
    sources = "".join(path.read_text() for path in (ROOT / "extproc").rglob("*.py") if path.parent.name != "policy")
    said = {row[0].strip("`") for row in rows(page("records.md")) if "." in row[0]}
    assert said == set(re.findall(pattern, sources))


# --- docs/postgres.md


def section(text: str, heading: str) -> str:
    return re.split(rf"^##+ {heading}$", text, flags=re.MULTILINE)[1].split("\n#")[0]


def test_every_code_has_its_sqlstate() -> None:
    said = {row[0].strip("`"): row[1:] for row in rows(section(page("postgres.md"), "Errors"))}
    assert {name: cells[0] for name, cells in said.items()} == problem._STATES
    assert {name for name, cells in said.items() if cells[1].startswith("ends")} == problem.FATAL


def test_every_open_setting_is_named() -> None:
    text = section(page("postgres.md"), "Settings")
    ((_, listed),) = fences(text)
    assert listed.split() == sorted(settings.OPEN)
    pinned = next(line for line in text.splitlines() if line.startswith("| pinned"))
    assert set(codes_in(pinned)) == set(settings.PINNED)
    startup = text.partition("At startup a client may set")[2].partition(". The operator")[0]
    assert set(codes_in(startup)) == settings._STARTUP
    assert set(TRACKED) | set(settings._SAME) <= set(codes_in(text))


# --- docs/policy.md


def questions() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each policy with the question and the answer that follow it."""
    found = [(language, text) for language, text in fences(page("policy.md")) if language in ("rego", "json")]
    asked = []
    for at, (language, text) in enumerate(found):
        if language == "rego":
            (_, question), (_, answer) = found[at + 1 : at + 3]
            asked.append((text, json.loads(question), json.loads(answer)))
    return asked


@pytest.mark.parametrize("number", range(len(questions())))
def test_the_examples_of_a_policy_answer_what_the_page_says(number: int, tmp_path: Path) -> None:
    policy, question, expected = questions()[number]
    (tmp_path / "policy.rego").write_text(policy)
    shutil.copytree(ROOT / "rego" / "policy" / "lib", tmp_path / "lib")
    engine = EmbeddedEngine(tmp_path)
    answer, revision = engine.evaluate(json.dumps(question).encode())
    assert json.loads(answer) == expected
    read_decision(answer, revision)


def test_every_field_of_a_question_about_sql_is_described_and_stands_in_the_example() -> None:
    schema = json.loads((ROOT / "rego" / "schema" / "input.json").read_text())
    sql = schema["properties"]["sql"]
    (example,) = [question for _, question, _ in questions() if "sql" in question]
    jsonschema.Draft7Validator({**sql, "definitions": schema["definitions"]}).validate(example["sql"])
    said = {name for row in rows(page("policy.md")) for name in codes_in(row[0])}
    assert {*sql["properties"], *sql["properties"]["statements"]["items"]["properties"]} <= said


def test_the_sql_example_asks_nothing_of_people_for_reads_and_opens_no_more(tmp_path: Path) -> None:
    (policy, question, _) = next(found for found in questions() if "sql" in found[1])
    (tmp_path / "policy.rego").write_text(policy)
    shutil.copytree(ROOT / "rego" / "policy" / "lib", tmp_path / "lib")
    engine = EmbeddedEngine(tmp_path)

    def rule(**over: Any) -> str:
        statement = {**question["sql"]["statements"][0], **over}
        asked = {**question, "sql": {**question["sql"], "statements": [statement]}}
        return read_decision(*engine.evaluate(json.dumps(asked).encode())).rule

    assert rule() == "shop.update"
    assert rule(kind="select", writes=[]) == "shop.read"
    assert rule(kind="select", writes=[], where=False) == "default.closed"
    assert rule(kind="delete") == "default.closed"
    assert rule(tables=["public.orders", "hr.staff"]) == "default.closed"
    assert rule(sure=False) == "default.closed"
    assert rule(kind="set", settings=[{"name": "role", "value": "postgres", "local": False}]) == "default.closed"


def test_the_payments_example_asks_for_the_body_first_and_never_takes_silence_for_a_yes(tmp_path: Path) -> None:
    policy, question, _ = questions()[1]
    (tmp_path / "policy.rego").write_text(policy)
    engine = EmbeddedEngine(tmp_path)

    def rule(body: dict[str, Any] | None) -> str:
        asked = {**question["request"], "body": body} if body is not None else {"method": "POST", "path": "/payments"}
        answer, revision = engine.evaluate(json.dumps({"phase": "request", "request": asked}).encode())
        return read_decision(answer, revision).rule

    assert rule(None) == "payments.unread"
    assert rule({"size": 3, "media_type": "", "complete": False}) == "payments.unreadable"
    assert rule({"size": 3, "media_type": "application/json", "complete": True, "json": []}) == "payments.unreadable"
    assert rule({"complete": True, "json": {"amount": "9"}}) == "payments.unreadable"
    assert rule({"complete": True, "json": {"amount": 9}}) == "payments.small"


# --- commands


def spoken(path: Path) -> Iterator[str]:
    """Lines that somebody may type: of code, and of text that stands in backticks."""
    text = path.read_text()
    if path.suffix != ".md":
        yield from text.splitlines()
        return
    for language, block in fences(text):
        if language in ("sh", "ini"):
            yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def commands(line: str) -> Iterator[tuple[list[str], str]]:
    """Each `extproc ...` in a line: the ways it names (`list|show` are two), and the rest of the line."""
    for match in re.finditer(r"(?<![\w.-])(?:\.venv/bin/|/opt/extproc/bin/)?extproc ((?:[a-z|]+ ?)+)(.*)", line):
        words = match[1].split()
        for last in words[1].split("|") if len(words) > 1 else [""]:
            yield [words[0], last], match[2].partition("#")[0]


def find(way: list[str]) -> click.Command | None:
    context = click.Context(cli)
    command: click.Command | None = cli.get_command(context, way[0])
    if isinstance(command, click.Group) and way[1]:
        return command.get_command(context, way[1])
    return command


@pytest.mark.parametrize("name", names(SPEAKING))
def test_every_command_that_is_named_exists_and_takes_these_options(name: str) -> None:
    for line in spoken(ROOT / name):
        for way, rest in commands(line):
            command = find(way)
            assert command is not None, line
            if isinstance(command, click.Group):
                continue
            taken = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            used = set(re.findall(r"(?:(?<=\s)|^)(--?[a-z][a-z-]*)", re.split(r"[>);|&]", rest)[0]))
            assert used <= taken, line


def test_the_commands_are_really_found() -> None:
    found = {way[0] for name in names(SPEAKING) for line in spoken(ROOT / name) for way, _ in commands(line)}
    assert found == set(cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize("name", names(PAGES))
def test_every_target_of_make_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in spoken(ROOT / name):
        match = re.match(r"make ([a-z-]+)", line)
        assert match is None or match[1] in targets, line


# --- links


def anchors(path: Path) -> set[str]:
    """Headings as links name them: lower case, dashes for spaces, without punctuation."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", names(PAGES))
def test_every_link_leads_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("name", names(PAGES))
def test_every_path_that_is_named_is_there(name: str) -> None:
    for line in spoken(ROOT / name):
        for path in re.findall(r"(?:^|\s)((?:extproc|rego|demo|docs|envoy|tests|requirements)/[\w./-]+)", line):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", names(PAGES))
def test_lines_can_be_read_beside_each_other(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert all(len(line) <= 135 for line in lines if not line.startswith("|"))
    assert all(before or after for before, after in pairwise(lines))
