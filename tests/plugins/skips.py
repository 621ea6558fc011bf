"""Nothing is skipped in silence: the closing summary names every skip, and with CI=true each is a failure."""

from __future__ import annotations

import os

import pytest


class SkipLedger:
    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        # An expected failure is reported as skipped as well, but it ran.
        if report.skipped and not hasattr(report, "wasxfail"):
            # For a skip, longrepr is (file, line, "Skipped: reason").
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.reasons[report.nodeid] = reason.removeprefix("Skipped: ")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        quiet = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.reasons and forbidden() and session.exitstatus in quiet:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.reasons:
            terminalreporter.write_line("skipped: none")
            return
        terminalreporter.section(f"skipped: {len(self.reasons)}", yellow=True)
        for nodeid, reason in sorted(self.reasons.items()):
            terminalreporter.write_line(f"{nodeid}: {reason}")
        if forbidden():
            terminalreporter.write_line("CI=true: a skipped test fails the run", red=True)


def forbidden() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipLedger(), "skip-ledger")
