"""make, and what it runs before any package is there: each refusal is one line that says what to do."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from services import free_port

ROOT = Path(__file__).resolve().parent.parent
BOOTSTRAP = ROOT / "scripts" / "bootstrap.py"
SERVICES = ROOT / "scripts" / "install-test-services.sh"
INPUTS = ("pyproject.toml", "requirements.lock", "requirements-dev.lock", "requirements-build.lock")

# What a make around the tests passes down.
OF_MAKE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "PORT", "PYTHON", "UPGRADE"}


def call(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command without the settings that a surrounding make or CI gives."""
    inherited = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy of what the installation reads, without .venv."""
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    for name in (*INPUTS, "Makefile", "scripts/bootstrap.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def bootstrap(project: Path) -> Iterator[ModuleType]:
    """The bootstrap script as a module at work in the fresh copy."""
    spec = importlib.util.spec_from_file_location("bootstrap", project / "scripts" / "bootstrap.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.VENV.mkdir()
    yield module


def python_that(path: Path, *statements: str) -> str:
    """A folder with a `python3` that carries out `statements` before the script it is given."""
    path.mkdir()
    code = "; ".join(("import runpy, sys", *statements, "sys.argv = sys.argv[1:]"))
    run = f"{code}; runpy.run_path(sys.argv[0], run_name='__main__')"
    (path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{run}" "$@"\n')
    (path / "python3").chmod(0o755)
    return f"{path}:{os.environ['PATH']}"


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line told to the person, apart from make's own."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode != 0
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_run_serves_the_demo_on_the_port_that_is_asked_for() -> None:
    plan = call("make", "-n", "run", "PORT=8123").stdout.splitlines()
    assert plan[-1] == "exec .venv/bin/authserver demo run --port 8123"
    assert "python3 scripts/bootstrap.py run" in plan


def test_test_installs_services_first_and_runs_every_test_in_one_pool() -> None:
    plan = call("make", "-n", "test").stdout.splitlines()
    assert plan[-3:] == [
        "python3 scripts/bootstrap.py dev",
        "scripts/install-test-services.sh",
        ".venv/bin/python -m pytest -n 3 --dist loadgroup",
    ]


def test_test_passes_arguments_on() -> None:
    plan = call("make", "-n", "test", "ARGS=-k par").stdout.splitlines()
    assert plan[-1] == ".venv/bin/python -m pytest -k par"


def test_lint_runs_the_rules_the_format_and_the_types() -> None:
    plan = call("make", "-n", "lint").stdout.splitlines()
    assert plan[-3:] == [".venv/bin/ruff check .", ".venv/bin/ruff format --check .", ".venv/bin/mypy"]


def test_help_names_every_target_that_people_use() -> None:
    listed = set(re.findall(r"^  make ([a-z]+) ", call("make").stdout, flags=re.M))
    assert listed == {
        "help", "run", "production", "test", "lint", "format", "bench", "lock", "clean", "screenshots",
        "translations",
    }  # fmt: skip


def test_clean_keeps_the_keys_and_data() -> None:
    assert "instance" not in call("make", "-n", "clean").stdout


def test_a_missing_python_is_told(project: Path) -> None:
    make = shutil.which("make")
    assert make
    assert said(call(make, "run", cwd=project, PATH="/nowhere")).startswith(
        "python3 is not installed: Python 3.11"
    )


def test_an_old_python_is_told(project: Path, tmp_path: Path) -> None:
    path = python_that(tmp_path / "bin", "sys.version_info = (3, 9, 2, 'final', 0)")
    told = said(call("make", "run", cwd=project, PATH=path))
    assert told.startswith("Python 3.11 or newer is needed, this is 3.9 (")


def test_an_old_python_can_read_the_script_that_refuses_it() -> None:
    tree = ast.parse(BOOTSTRAP.read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= sys.stdlib_module_names


def test_a_python_without_venv_is_told(project: Path, tmp_path: Path) -> None:
    path = python_that(tmp_path / "bin", "sys.modules['ensurepip'] = None")
    told = said(call("make", "test", cwd=project, PATH=path))
    assert re.fullmatch(
        r"Python's venv module is missing; on Debian: apt-get install python3\.\d+-venv", told
    )


def test_a_folder_without_write_permission_is_told(project: Path) -> None:
    # Root writes anywhere, unless it gives up the capability to.
    as_others = ["setpriv", "--bounding-set=-dac_override", "--"] if os.geteuid() == 0 else []
    project.chmod(0o555)
    try:
        told = said(call(*as_others, "make", "run", cwd=project))
    finally:
        project.chmod(0o755)
    assert told.startswith(f"Cannot write to {project}/.venv (Permission denied); ")


def test_a_registry_out_of_reach_is_told(project: Path) -> None:
    index = f"http://127.0.0.1:{free_port()}/simple"
    done = call("make", "run", cwd=project, PIP_INDEX_URL=index, PIP_FIND_LINKS="", PIP_RETRIES="0")
    assert said(done).startswith("No network: pip cannot reach the package registry; ")
    assert "Installing 7 build tools ..." in done.stdout


def test_nothing_is_installed_twice_until_a_file_that_says_what_changes(bootstrap: ModuleType) -> None:
    stamp = {name: bootstrap.digest(name) for name in INPUTS}
    assert bootstrap.missing("dev", stamp) == {}
    lock = bootstrap.ROOT / "requirements-dev.lock"
    lock.write_text(lock.read_text() + "\n")
    assert set(bootstrap.missing("dev", stamp)) == {"requirements-dev.lock"}
    assert bootstrap.missing("run", stamp) == {}


def test_what_the_tests_installed_serves_the_server_too(bootstrap: ModuleType) -> None:
    stamp = {name: bootstrap.digest(name) for name in INPUTS if name != "requirements.lock"}
    assert bootstrap.missing("run", stamp) == {}
    del stamp["requirements-dev.lock"]
    assert set(bootstrap.missing("run", stamp)) == {"requirements.lock"}


def test_an_environment_in_a_moved_folder_is_made_anew(bootstrap: ModuleType) -> None:
    bootstrap.PYTHON.parent.mkdir()
    # a link would be Debian's own Python, which has no pip
    bootstrap.PYTHON.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    bootstrap.PYTHON.chmod(0o755)
    assert bootstrap.works({"root": str(bootstrap.ROOT)})
    assert not bootstrap.works({"root": "/elsewhere"})
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.symlink_to("/nowhere/python3")
    assert not bootstrap.works({"root": str(bootstrap.ROOT)})


def test_a_torn_stamp_counts_as_none(bootstrap: ModuleType) -> None:
    bootstrap.STAMP.write_text(json.dumps({"root": "x"})[:-2])
    assert bootstrap.read_stamp() == {}


def installer_with(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, configured: str = "") -> list[str]:
    """Records which installer runs; uv is there and fails."""
    ran: list[str] = []

    def run(*command: str, **_: str) -> str:
        if "config" in command:
            return configured
        ran.append("uv" if command[0].endswith("/uv") else "pip")
        if ran[-1] == "uv":
            raise subprocess.CalledProcessError(2, command, "error: unsupported platform")
        return ""

    monkeypatch.setattr(bootstrap, "run", run)
    (bootstrap.VENV / "bin").mkdir()
    (bootstrap.VENV / "bin" / "uv").touch()
    return ran


def test_pip_installs_what_uv_cannot(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = installer_with(bootstrap, monkeypatch)
    installer = bootstrap.Installer()
    installer.install("-r", "requirements.lock")
    installer.install("-e", ".")
    assert ran == ["uv", "pip", "pip"]


def test_pip_installs_from_an_index_that_only_pip_knows(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = installer_with(bootstrap, monkeypatch, "global.index-url='https://packages.example/simple'\n")
    bootstrap.Installer().install("-r", "requirements.lock")
    assert ran == ["pip"]


def test_the_build_tools_come_without_uv_where_there_is_none(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run(*command: str, **_: str) -> str:
        if "-r" in command:
            asked.append((bootstrap.ROOT / command[-1]).read_text())
            if "\nuv==" in asked[-1]:
                raise subprocess.CalledProcessError(
                    1, command, "ERROR: No matching distribution found for uv"
                )
        return ""

    monkeypatch.setattr(bootstrap, "run", run)
    bootstrap.Installer().build_tools()
    assert len(asked) == 2
    assert "hatchling==" in asked[1]
    assert asked[1] in asked[0]


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("WARNING: Retrying (Retry(total=1))\nERROR: No matching distribution found", "No network: "),
        ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full: "),
        (
            "Collecting x\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    Expected",
            "Installing failed: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES (everything it said: ",
        ),
    ],
)
def test_a_failed_installation_is_explained_in_one_line(
    bootstrap: ModuleType, output: str, told: str
) -> None:
    explained = str(bootstrap.explain(subprocess.CalledProcessError(1, ["pip"], output)))
    assert explained.startswith(told)
    assert "\n" not in explained


class Machine:
    """A copy of the script on a machine that has everything but Redis; the user is number 1000.

    ``apt-get`` and ``npm`` do nothing but note their calls; npm's packages are there.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        self.node = folder / "project" / "tests" / "node"
        self.script = folder / "project" / "scripts" / SERVICES.name
        for made in (self.bin, self.node / "node_modules", self.script.parent):
            made.mkdir(parents=True)
        shutil.copy(SERVICES, self.script)
        shutil.copy(ROOT / "tests/node/package-lock.json", self.node)
        shutil.copy(self.node / "package-lock.json", self.stamp)
        self.has("id", "echo ${USER_ID:-1000}")
        for program in ("initdb", "chromium", "node", "curl"):
            self.has(program)
        for program in ("apt-get", "npm"):
            self.has(program, f'echo "{program} $*" >>{self.calls}; exit ${{FAILS:-0}}')
        for program in ("timeout", "mktemp", "rm", "chmod", "grep", "head", "tail"):
            found = shutil.which(program)
            assert found
            (self.bin / program).symlink_to(found)

    @property
    def stamp(self) -> Path:
        return self.node / "node_modules" / ".installed-lock"

    def has(self, program: str, does: str = "") -> None:
        path = self.bin / program
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def install(self, **environment: str) -> subprocess.CompletedProcess[str]:
        done = call("/bin/bash", self.script, PATH=str(self.bin), **environment)
        assert done.returncode == 0, done.stderr
        return done

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_services_that_are_there_cost_no_call_of_a_package_manager(machine: Machine) -> None:
    machine.has("redis-server")
    done = machine.install()
    assert (done.stdout, done.stderr) == ("", "")
    assert machine.called() == []


def test_services_that_an_ordinary_user_cannot_install_are_named(machine: Machine) -> None:
    done = machine.install()
    assert done.stderr.count("\n") == 1
    assert "redis-server" in done.stderr
    assert "postgresql" not in done.stderr
    assert "reported as skipped" in done.stderr
    assert machine.called() == []


def test_npm_installs_what_another_lock_file_says_and_once(machine: Machine) -> None:
    machine.has("redis-server")
    machine.stamp.write_text("{}")
    assert machine.install().stdout.count("\n") == 1
    (called,) = machine.called()
    assert called.startswith("npm ci --prefix tests/node --ignore-scripts ")
    machine.install()
    assert len(machine.called()) == 1


def test_npm_packages_that_cannot_be_installed_are_told_and_tried_again(machine: Machine) -> None:
    machine.has("redis-server")
    machine.stamp.unlink()
    for _ in range(2):
        done = machine.install(FAILS="1")
        assert done.stderr.startswith("npm could not install the packages of tests/node ")
        assert "reported as skipped" in done.stderr
    assert len(machine.called()) == 2


def test_what_one_package_lacks_keeps_no_other_from_being_installed(machine: Machine) -> None:
    (machine.bin / "chromium").unlink()
    policy = machine.bin / "policy-rc.d"
    done = machine.install(USER_ID="0", FAILS="100", POLICY_RC=str(policy))
    assert not policy.exists()
    installed = [
        call.partition(" install ")[2].split()[-1] for call in machine.called() if " install " in call
    ]
    assert installed == ["redis-server", "chromium"]
    assert done.stderr.count("reported as skipped") == 2


@pytest.mark.parametrize("script", [".ci/run", "scripts/install-test-services.sh"])
def test_the_scripts_are_executable_and_stop_at_the_first_error(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert call("bash", "-n", ROOT / script).returncode == 0
    assert "\nset -euo pipefail\n" in (ROOT / script).read_text()
