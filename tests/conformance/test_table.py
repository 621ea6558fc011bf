"""The table in docs/conformance.md and the tests name the same modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import (
    test_backchannel_logout,
    test_basic,
    test_config,
    test_dynamic,
    test_form_post,
    test_rp_initiated_logout,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
MODULES = {
    f"{module.__name__.rpartition('.')[2]}.py": module
    for module in (
        test_backchannel_logout, test_basic, test_config, test_dynamic, test_form_post,
        test_rp_initiated_logout,
    )
}  # fmt: skip
HEADING = re.compile(r"\| module \| test in `(test_\w+\.py)` \| verdict \|")
ROW = re.compile(r"\| `([A-Za-z0-9_-]+)` \| `(test_\w+)` \| (\S.*) \|")
VERDICTS = ("holds", "skipped", "deviates", "warns")


def tables() -> dict[str, dict[str, tuple[str, str]]]:
    """File → module → its test and the verdict."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for line in DOCUMENT.read_text().splitlines():
        if heading := HEADING.fullmatch(line):
            current = found.setdefault(heading[1], {})
        elif row := ROW.fullmatch(line):
            current[row[1]] = (row[2], row[3])
    return found


@pytest.mark.parametrize("file", MODULES)
def test_every_module_of_the_table_has_a_test_of_its_name_and_the_reverse(file: str) -> None:
    rows = tables()[file]
    assert {test for test, _ in rows.values()} == {
        n for n in vars(MODULES[file]) if n.startswith("test_oidcc")
    }
    for module, (test, verdict) in rows.items():
        assert test == "test_" + module.replace("-", "_")
        assert verdict.startswith(VERDICTS), (module, verdict)
