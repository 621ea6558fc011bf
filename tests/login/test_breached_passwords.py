"""The file of breached passwords: no password of the list is missed, and hardly any other seems to be one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from authserver import crypto
from authserver.cli import main
from authserver.login.breached import BreachedPasswords, FilterRefused, build
from authserver.login.breached.layout import HEAD_BYTES, TABLE_BYTES

WORDS = [f"breached-{number}" for number in range(3000)]

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1)


def hex_of(text: str) -> str:
    return crypto.sha1(text.encode()).hex().upper()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.txt"
    path.write_text("\n".join([*WORDS, *WORDS[:10], ""]), "utf-8")
    return path


def test_every_password_of_the_list_is_found_and_no_other(plain: Path, tmp_path: Path) -> None:
    target = tmp_path / "breached.bin"
    assert build(plain, target, plain=True) == 3000
    held = BreachedPasswords(target)
    assert held.count == 3000
    assert all(word in held for word in WORDS)
    # three thousand in 2**44 places: one of these is taken for one less than once in 10**5 runs
    assert not [number for number in range(20_000) if f"other-{number}" in held]
    held.verify()


@settings(max_examples=30, deadline=None)
@given(
    words=st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1), max_size=40)
)
def test_whatever_is_put_in_is_found(words: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("list")
    (folder / "plain").write_bytes("\n".join(words).encode())
    build(folder / "plain", folder / "file", plain=True)
    held = BreachedPasswords(folder / "file")
    assert all(word in held for word in words)


def test_ranges_digests_and_a_plain_list_give_the_same_file(plain: Path, tmp_path: Path) -> None:
    digests = sorted(map(hex_of, WORDS))
    (tmp_path / "digests").write_text("".join(f"{digest}:7\n" for digest in digests))
    ranges = tmp_path / "ranges"
    ranges.mkdir()
    for digest in digests:
        with (ranges / f"{digest[:5]}.txt").open("a") as file:
            file.write(f"{digest[5:]}:7\r\n")
    files = []
    for source, options in ((plain, {"plain": True}), (tmp_path / "digests", {}), (ranges, {})):
        build(source, tmp_path / "out", **options)  # type: ignore[arg-type]
        files.append((tmp_path / "out").read_bytes())
    assert files[0] == files[1] == files[2]
    assert len(files[0]) == HEAD_BYTES + TABLE_BYTES + 3 * 3000


def test_rare_ones_are_left_out(tmp_path: Path) -> None:
    often, once = sorted(map(hex_of, ("often", "once")), key=lambda text: text != hex_of("often"))
    lines = sorted([f"{often}:10", f"{once}:9"])
    (tmp_path / "digests").write_text("\n".join(lines))
    assert build(tmp_path / "digests", tmp_path / "file", least=10) == 1
    held = BreachedPasswords(tmp_path / "file")
    assert "often" in held
    assert "once" not in held


def test_accents_are_one_in_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("caf\u00e9 au lait")
    build(tmp_path / "plain", tmp_path / "file", plain=True)
    assert "cafe\u0301 au lait" in BreachedPasswords(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("unsorted", "F" * 40 + "\n" + "0" * 40, "not sorted"),
        ("plain text", "password1\n", "line 1: not SHA1:COUNT"),
        ("cut", "0" * 39, "line 1"),
    ],
)
def test_a_list_that_is_none_leaves_the_old_file(tmp_path: Path, name: str, content: str, words: str) -> None:
    source, target = tmp_path / name, tmp_path / "file"
    source.write_text(content)
    target.write_bytes(b"the one before")
    with pytest.raises(FilterRefused, match=words):
        build(source, target)
    assert target.read_bytes() == b"the one before"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "file"])


def test_a_file_that_is_damaged_is_refused_at_start(plain: Path, tmp_path: Path) -> None:
    target = tmp_path / "file"
    build(plain, target, plain=True)
    whole = target.read_bytes()
    for damaged in (whole[:-1], whole + b"x", whole[:50], b"", b"x" * len(whole), b"\0" + whole[1:]):
        target.write_bytes(damaged)
        with pytest.raises(FilterRefused):
            BreachedPasswords(target)
    target.unlink()
    with pytest.raises(FilterRefused):
        BreachedPasswords(target)
    # a changed byte of a password is found by whoever reads all of it
    target.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FilterRefused, match="has changed"):
        BreachedPasswords(target).verify()


def test_no_file_holds_nothing() -> None:
    assert "password" not in BreachedPasswords(None)


def test_an_operator_imports_and_verifies(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    arguments = ["passwords", "import", str(plain), "--plain", "--to", str(target), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["passwords"] == 3000
    monkeypatch.setenv("AUTHSERVER_BREACHED_PASSWORDS", str(target))
    assert "3000 passwords, as written" in CliRunner().invoke(main, ["passwords", "verify"]).output
    target.write_bytes(target.read_bytes()[:-1])
    assert CliRunner().invoke(main, ["passwords", "verify"]).exit_code == 1
    assert CliRunner().invoke(main, ["passwords", "import", str(plain), "--to", str(target)]).exit_code == 2
