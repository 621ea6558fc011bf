"""`@pytest.mark.spec("RFC 9126", "2.1")` ties a test to a section; --spec-report=FILE writes the table."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

# RFC 9126 or another document's name; a section is a number (2.1), an appendix (A.1) or a word (art. 5).
DOCUMENT = re.compile(r"(?!RFC)[A-Z][^|\n]*[^|\s]|RFC [1-9]\d*")
SECTION = re.compile(r"[\dA-Za-z][^|\n]*(?<!\s)")
# The worst result of a test's parameters is the test's.
WORST_FIRST = ("failed", "not run", "skipped", "xfailed", "passed")


class SpecReport:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.results: dict[str, Counter[str]] = defaultdict(Counter)
        self.outcomes: dict[str, str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for marker in item.iter_markers("spec"):
                document, section = marker.args
                self.sections[document, section].add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome
        # Set-up and teardown pass too: they count only when they do not.
        if report.when == "call" or outcome != "passed":
            self.outcomes[report.nodeid] = outcome

    def pytest_sessionfinish(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.render(), encoding="utf-8")

    def render(self) -> str:
        lines = ["# Specification sections and their tests", ""]
        document = None
        for (name, section), nodeids in sorted(self.sections.items(), key=lambda row: _natural(*row[0])):
            if name != document:
                if document:
                    lines.append("")
                lines += [f"## {name}", "", "| section | test | result |", "| --- | --- | --- |"]
                document = name
            lines += [f"| {section} | `{test}` | {result} |" for test, result in self._tests(nodeids).items()]
        return "\n".join(lines) + "\n"

    def _tests(self, nodeids: set[str]) -> dict[str, str]:
        found: dict[str, list[str]] = defaultdict(list)
        for nodeid in sorted(nodeids):
            # The parameters of one test are one row: their values may hold anything.
            found[nodeid.partition("[")[0]].append(self.outcomes.get(nodeid, "not run"))
        return {test: _verdict(outcomes) for test, outcomes in found.items()}


def _verdict(outcomes: list[str]) -> str:
    worst = next(outcome for outcome in WORST_FIRST if outcome in outcomes)
    return worst if len(outcomes) == 1 else f"{worst} ({outcomes.count(worst)} of {len(outcomes)})"


def _natural(*words: str) -> list[list[tuple[bool, int, str]]]:
    """A sort key in which 2.10 comes after 2.9 and RFC 6749 before RFC 10000."""
    return [
        [
            (not part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.findall(r"\d+|\D+", word)
        ]
        for word in words
    ]


def mistake_in(marker: pytest.Mark) -> str | None:
    """What is wrong with the arguments of a spec marker, to be read after "the spec marker"."""
    if marker.kwargs or len(marker.args) != 2 or not all(isinstance(part, str) for part in marker.args):
        return 'takes two strings, as in @pytest.mark.spec("RFC 9126", "2.1")'
    document, section = marker.args
    if not DOCUMENT.fullmatch(document):
        return f'names no document: {document!r}; write it as in "RFC 9126" or "OpenID Connect Core"'
    if not SECTION.fullmatch(section):
        return f'names no section: {section!r}; write it as in "2.1", "A.1" or "art. 5"'
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--spec-report",
        metavar="FILE",
        type=Path,
        help="write a Markdown table: specification, section, test, result",
    )


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("spec_report"):
        if config.getoption("numprocesses", None):
            raise pytest.UsageError("--spec-report needs a run in one process, without -n")
        config.pluginmanager.register(SpecReport(path.absolute()), "spec-report")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("spec"):
            if mistake := mistake_in(marker):
                raise pytest.UsageError(f"{item.nodeid}: the spec marker {mistake}")
