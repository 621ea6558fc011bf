"""Makes .venv and installs the locked dependencies: `python3 scripts/bootstrap.py run|dev`.

The system's own python3 runs this file, so it keeps to the standard library and to syntax that
Python 3.6 reads: an old Python must get as far as the sentence that says it is too old.

Nothing unhashed is installed. requirements-build.lock brings uv (a fast installer) and hatchling
(the build backend of the editable install) through pip; uv then installs the rest, and pip does so
where uv cannot. Because hatchling is locked too, `--no-build-isolation` replaces pip's usual
download of whatever backend is newest that day.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "authserver-installed.json"
LOG = VENV / "install.log"
OLDEST = (3, 11)
BUILD = "requirements-build.lock"
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}

UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|NameResolutionError"
    r"|ProxyError|Temporary failure in name resolution|Network is unreachable"
)
# uv does not read pip's configuration: where one of these is set, pip installs everything.
OWN_INDEX = re.compile(
    r"\.(index-url|extra-index-url|no-index|proxy|trusted-host|client-cert|constraint)=", re.M
)


class SetupError(Exception):
    """One line for the person at the terminal: what is wrong and what to do."""


def check_python() -> None:
    found = ".".join(str(part) for part in sys.version_info[:2])
    if sys.version_info[:2] < OLDEST:
        raise SetupError(
            f"Python 3.11 or newer is needed, this is {found} ({sys.executable}); "
            "install one and name it: make PYTHON=python3.11 ..."
        )
    try:
        import ensurepip  # noqa: F401 - Debian splits it off into python3-venv
        import venv  # noqa: F401
    except ImportError:
        raise SetupError(
            f"Python's venv module is missing; on Debian: apt-get install python{found}-venv"
        ) from None


def check_writable() -> None:
    """Raises SetupError unless files can be made here and in .venv, where it exists."""
    try:
        VENV.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=str(VENV)):
            pass
    except OSError as error:
        raise SetupError(
            f"Cannot write to {VENV} ({error.strerror}); "
            "give this user the folder, or copy the project to one of its own"
        ) from None


def digest(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def read_stamp() -> dict:
    """What was installed: the folder, and the digest of each file that said what to install."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def write_stamp(stamp: dict) -> None:
    STAMP.write_text(json.dumps(stamp, indent=1))


def works(stamp: dict) -> bool:
    """Whether .venv can be used as it stands.

    It cannot after its Python was removed or replaced, nor in a folder that was moved or copied: its
    scripts and the editable install hold absolute paths.
    """
    if not PYTHON.exists() or stamp.get("root", str(ROOT)) != str(ROOT):
        return False
    probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.run([str(PYTHON), "-c", probe], stderr=subprocess.DEVNULL, check=False).returncode == 0


def say(text: str) -> None:
    print(text, flush=True)


def run(*command: str, **environment: str) -> str:
    """The command's output, also appended to the log; raises CalledProcessError with it."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write("\n$ " + " ".join(command) + "\n")
        done = subprocess.run(
            command,
            cwd=str(ROOT),
            env=dict(os.environ, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        log.write(done.stdout)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
    return done.stdout


def explain(error: subprocess.CalledProcessError) -> SetupError:
    output = str(error.output)
    if "No space left on device" in output:
        return SetupError(f"The disk is full: free about 500 MB for {VENV} and run make again")
    if UNREACHABLE.search(output):
        return SetupError(
            "No network: pip cannot reach the package registry; connect this machine, "
            "or set PIP_INDEX_URL or HTTPS_PROXY, and run make again"
        )
    causes = [line for line in output.splitlines() if re.match(r"\s*error\b", line, re.IGNORECASE)]
    cause = causes[-1].strip() if causes else f"{Path(error.cmd[0]).name} gave {error.returncode}"
    return SetupError(f"Installing failed: {cause} (everything it said: {LOG})")


def make_venv() -> None:
    say(f"Making .venv with Python {sys.version.split()[0]} ...")
    try:
        # --clear empties the folder but keeps it, and so the lock that main() holds on it.
        done = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = str(error.output).strip().splitlines() or ["no reason given"]
        raise SetupError(f"python -m venv failed: {lines[-1]}") from None
    LOG.write_text(done.stdout)


class Installer:
    """Installs from hashed lock files, with uv where it can and with pip where it cannot."""

    def __init__(self) -> None:
        self.pip = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "2")
        configured = run(*self.pip, "config", "list")
        self.uv_may = not OWN_INDEX.search(configured)
        certificates = re.search(r"\.cert='(.+)'", configured)
        self.trust = {"SSL_CERT_FILE": certificates.group(1)} if certificates else {}

    def build_tools(self) -> None:
        try:
            run(*self.pip, "install", "--no-deps", "--require-hashes", "-r", BUILD)
        except subprocess.CalledProcessError as error:
            if UNREACHABLE.search(str(error.output)):
                raise
            self._build_tools_without_uv()

    def _build_tools_without_uv(self) -> None:
        # One requirement is a line that does not begin with a space, and the indented ones after it.
        blocks = re.split(r"^(?=\S)", (ROOT / BUILD).read_text(), flags=re.M)
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=str(VENV)) as rest:
            rest.writelines(block for block in blocks if not block.startswith("uv=="))
            rest.flush()
            run(*self.pip, "install", "--no-deps", "--require-hashes", "-r", rest.name)

    def install(self, *arguments: str) -> None:
        uv = VENV / "bin" / "uv"
        if self.uv_may and uv.exists():
            try:
                run(str(uv), "--quiet", "pip", "install", "--python", str(PYTHON), *arguments, **self.trust)
                return
            except (subprocess.CalledProcessError, OSError):
                say("  uv could not, pip does it instead ...")
                self.uv_may = False
        run(*self.pip, "install", *arguments)


def count(lock: str) -> int:
    return len(re.findall(r"^[A-Za-z0-9]\S*==", (ROOT / lock).read_text(), flags=re.M))


def missing(kind: str, stamp: dict) -> dict:
    """The digests, by file, of what has yet to be installed."""
    wanted = {name: digest(name) for name in (BUILD, LOCKS[kind], "pyproject.toml")}
    # What `make test` installed serves `make run` as well: the larger lock holds the smaller one.
    if kind == "run" and stamp.get(LOCKS["dev"]) == digest(LOCKS["dev"]):
        wanted.pop(LOCKS["run"])
    return {name: value for name, value in wanted.items() if stamp.get(name) != value}


def up_to_date(kind: str) -> bool:
    stamp = read_stamp()
    return works(stamp) and not missing(kind, stamp)


def bring_up_to_date(kind: str) -> None:
    started = time.monotonic()
    stamp = read_stamp()
    if not works(stamp):
        make_venv()
        stamp = {}
    stamp["root"] = str(ROOT)
    lock = LOCKS[kind]
    wanted = missing(kind, stamp)
    installer = Installer()
    if BUILD in wanted:
        say(f"Installing {count(BUILD)} build tools ...")
        installer.build_tools()
        stamp[BUILD] = wanted[BUILD]
        write_stamp(stamp)
    if lock in wanted:
        say(f"Installing {count(lock)} packages from {lock} ...")
        installer.install("--no-deps", "--require-hashes", "-r", lock)
        # It may have replaced versions of the other set, which is looked at again when asked for.
        stamp.pop(LOCKS["run"], None)
        stamp.pop(LOCKS["dev"], None)
        stamp[lock] = wanted[lock]
        write_stamp(stamp)
    installer.install("--no-deps", "--no-build-isolation", "-e", ".")
    stamp["pyproject.toml"] = digest("pyproject.toml")
    write_stamp(stamp)
    say(f"Ready after {time.monotonic() - started:.0f} s.")


def prepare(kind: str) -> None:
    """Leaves .venv with everything that `kind` needs, or raises SetupError with one line."""
    if up_to_date(kind):
        return
    check_python()
    check_writable()
    # Two makes may run at once; the folder outlives the lock, no file of its own is needed.
    folder = os.open(str(VENV), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("Waiting for another make that is installing here ...")
        fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        if not up_to_date(kind):
            bring_up_to_date(kind)
    except subprocess.CalledProcessError as error:
        raise explain(error) from None
    except OSError as error:
        raise SetupError(f"Installing failed: {error}") from None


def main(arguments: list) -> int:
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        print("usage: python3 scripts/bootstrap.py run|dev", file=sys.stderr)
        return 2
    try:
        prepare(arguments[0])
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; make goes on from here next time.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
