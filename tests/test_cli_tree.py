"""The whole tree of commands: each says what it does, by examples that are right, and speaks JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from authserver import metrics
from authserver.audit import Event
from authserver.cli import main

ROOT = Path(__file__).resolve().parent.parent
# they run until they are stopped: what they tell is the log
RUNNING = {"serve", "demo run"}


def members(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """The commands of a group, in the order of their names."""
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command


def leaves(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by the words that call it."""
    for name, command in members(group):
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


LEAVES = dict(leaves())


def examples(text: str) -> list[str]:
    """The lines of a help text or a shell block that call authserver, joined where they go on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r"\s*(\.venv/bin/)?authserver\s", line)]


def words_of(line: str) -> list[str]:
    """The arguments in a line of shell, without comments and redirections."""
    words = shlex.split(line, comments=True)
    return words[1 : min([words.index(sign) for sign in ("<", "|", ">") if sign in words] or [len(words)])]


def parse(words: list[str]) -> str:
    """The command that ``words`` call and nothing of it run; click's own error for a line that is wrong."""
    context = main.make_context("authserver", list(words))
    command: click.Command = main
    path = []
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        path.append(str(name))
        command = found
        context = command.make_context(name, rest, parent=context)
    context.close()
    return " ".join(path)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that examples read are there."""
    monkeypatch.chdir(tmp_path)
    for name in ("bank.jwks.json", "token.txt"):
        (tmp_path / name).write_text("{}")


def test_the_tree_is_as_wide_as_its_documentation() -> None:
    assert len(LEAVES) > 35
    assert {"tokens inspect", "tokens revoke", "sessions end", "grants withdraw", "status"} <= set(LEAVES)


@pytest.mark.parametrize("path", LEAVES)
def test_each_command_has_help_an_example_that_parses_and_json(path: str) -> None:
    command = LEAVES[path]
    shown = CliRunner().invoke(main, [*path.split(), "--help"])
    assert shown.exit_code == 0
    assert command.get_short_help_str(), path
    found = examples(command.help or "")
    assert found, f"{path} has no example"
    for line in found:
        assert parse(words_of(line)) == path, line
    options = {name for parameter in command.params for name in parameter.opts}
    assert ("--json" in options) == (path not in RUNNING), path
    for parameter in command.params:
        told = (
            isinstance(parameter, click.Argument)
            or parameter.help
            or isinstance(parameter.type, click.Choice)
        )
        assert told, (path, parameter.name)


def test_groups_say_what_they_are_for() -> None:
    for name, group in members(main):
        assert group.get_short_help_str(), name
    shown = CliRunner().invoke(main, ["--help"]).output
    assert "Exit codes: 0 done; 1 " in shown
    assert "authserver status" in shown


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def quoted(text: str) -> list[str]:
    """Lines of shell blocks, and commands in a sentence's backticks."""
    blocks = re.findall(r"```(?:sh|shell|console)?\n(.*?)```", text, re.DOTALL)
    found = [line for block in blocks for line in examples(block)]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = re.findall(r"`((?:\.venv/bin/)?authserver [^`]+)`", prose)
    return found + inline


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_command_in_the_documentation_is_one(document: Path) -> None:
    for line in quoted(document.read_text("utf-8")):
        words = [word for word in words_of(line) if word != "…"]
        # a sentence names a command, or a group, without all that it wants
        command: click.Command = main
        while words and isinstance(command, click.Group) and words[0] in (known := dict(members(command))):
            command = known[words.pop(0)]
        if isinstance(command, click.Group):
            assert not words or words[0].startswith("-"), line
            continue
        options = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        } | {"--help", "-h"}
        flags = [word.partition("=")[0] for word in words if word.startswith("-") and len(word) > 1]
        assert set(flags) <= options, (line, sorted(set(flags) - options))


RUNBOOK = (ROOT / "docs" / "operations.md").read_text("utf-8")


def test_the_runbook_knows_every_metric_and_everything_that_an_answer_depends_on() -> None:
    named = {metric for collector in vars(metrics).values() for metric in _names(collector)}
    assert len(named) > 10
    assert sorted(name for name in named if f"`{name}" not in RUNBOOK) == []
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "authserver").rglob("*.py"))
    dependencies = set(re.findall(r'(?:Unavailable|_fail_closed)\("([a-z_]+)"', source))
    assert dependencies >= {"database", "database_write", "hash_queue", "signing_key"}
    assert sorted(name for name in dependencies if f"`{name}`" not in RUNBOOK) == []


def _names(collector: object) -> list[str]:
    name, kind = getattr(collector, "_name", None), getattr(collector, "_type", "")
    return [f"{name}_total" if kind == "counter" else str(name)] if name else []


def test_the_runbook_names_events_and_places_that_there_are() -> None:
    events = {event.value for event in Event}
    named = set(re.findall(r"`([a-z_]+\.[a-z_.]+)`", RUNBOOK)) - {"token.txt"}
    assert len(named) > 5
    assert sorted(named - events) == []
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall("^#+ (.*)$", RUNBOOK, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= headings
    for path, anchor in re.findall(r"\]\(([a-z-]+\.md)(?:#([^)]+))?\)", RUNBOOK):
        linked = (ROOT / "docs" / path).read_text("utf-8")
        assert not anchor or anchor in [
            line.lower().replace(" ", "-") for line in re.findall("^#+ (.*)$", linked, re.M)
        ]
    assert "docs/operations.md" in (ROOT / "README.md").read_text("utf-8")
