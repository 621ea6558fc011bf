"""The library stands apart: importing it brings in nothing that its user did not ask for."""

import json
import subprocess
import sys


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_library_brings_neither_the_server_nor_a_framework_nor_redis() -> None:
    modules = loaded_by(
        "import authserver.resource_server, authserver.resource_server.wsgi,"
        " authserver.resource_server.replay.redis, authserver.resource_server.replay.sqlite"
    )
    ours = {name for name in modules if name.startswith("authserver.")}
    assert all(name.startswith("authserver.resource_server") for name in ours)
    assert not {"flask", "werkzeug", "redis", "sqlalchemy", "authlib"} & modules


def test_the_door_for_flask_brings_flask_and_no_server() -> None:
    modules = loaded_by("import authserver.resource_server.flask")
    assert "flask" in modules
    assert not {"authserver.app", "authserver.config", "sqlalchemy"} & modules
