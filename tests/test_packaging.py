"""What is published: the wheel's content, its metadata, and the package without its extras."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

import reality

ROOT = Path(__file__).parent.parent
EXTRAS = {
    "cli": {"granian", "httpx2", "rich", "starlette", "typer", "uvloop"},
    "client": {"httpx2"},
    "django": {"django"},
    "dynamodb": {"aiobotocore"},
    "mesh": {"h11", "httpx2"},
    "mysql": {"pymysql", "sqlalchemy"},
    "nats": {"nats-py"},
    "postgres": {"psycopg", "sqlalchemy"},
    "redis": {"redis"},
    "sqlalchemy": {"sqlalchemy"},
    "testing": {"hypothesis", "pytest"},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    """The wheel, opened."""
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


@pytest.fixture(scope="module")
def bare(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the base install brings: the package and msgspec."""
    folder = tmp_path_factory.mktemp("bare")
    wheel.extractall(folder)
    shutil.copytree(Path(msgspec.__file__).parent, folder / "msgspec")
    return folder


def run_bare(bare: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the standard library and the base install only."""
    return subprocess.run(
        # -S: no site-packages; -P: not this folder either.
        [sys.executable, "-S", "-P", "-c", script],
        cwd=bare,
        env={**os.environ, "PYTHONPATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_package_and_no_more(wheel: zipfile.ZipFile) -> None:
    """Every file of the package is in the wheel, with its types, script and page; no other is."""
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "reality").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert held == expected
    assert {"reality/py.typed", "reality/http/browser/client.js"} <= held
    assert any(name.startswith("reality/demo/") and name.endswith(".html") for name in held)


def test_the_metadata_is_what_was_promised(wheel: zipfile.ZipFile, metadata: Message) -> None:
    """Name, version, Python, licence and command are those of DESIGN and README."""
    (scripts,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))

    assert metadata["Name"] == "reality-sync"
    assert metadata["Version"] == reality.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert "reality = reality.cli:main" in wheel.read(scripts).decode()
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def required(metadata: Message, extra: str = "") -> set[str]:
    """The names of the packages that an extra needs, or the base install."""
    requirements = map(Requirement, metadata.get_all("Requires-Dist", []))
    return {
        each.name
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": extra})
    }


def test_the_base_install_needs_msgspec_only(metadata: Message) -> None:
    """Every other requirement belongs to an extra, and the extra `all` has them all."""
    assert set(metadata.get_all("Provides-Extra", [])) == {*EXTRAS, "all"}
    assert required(metadata) == {"msgspec"}
    for extra, names in EXTRAS.items():
        assert required(metadata, extra) == {"msgspec", *names}
    assert required(metadata, "all") == {"msgspec"}.union(*EXTRAS.values())


def test_the_source_archive_can_be_tested(built: Path) -> None:
    """The source archive has the package, its tests and its documents, and nothing installed."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "pyproject.toml",
        "requirements-dev.txt",
        "src/reality/__init__.py",
        "tests/test_packaging.py",
    } <= names
    assert not {name for name in names if "node_modules" in name or name.startswith(".venv")}


def test_the_base_install_serves(bare: Path) -> None:
    """With msgspec alone a server can be made, told and asked, and made an application."""
    script = """
import reality
server = reality.RealityServer(server_id="a")
server.blocking.invalidate("posts")
answer = server.blocking.sync({"known": {"posts": 0}, "clientId": "c", "mode": "native",
                               "hint": "mount"})
print(reality.__file__, answer.changed.keys(), server.asgi(), reality.create_hash({}))
"""
    result = run_bare(bare, script)

    assert result.returncode == 0, result.stderr
    assert str(bare) in result.stdout
    assert "posts" in result.stdout


@pytest.mark.parametrize(
    ("use", "extra"),
    [
        ("reality.AsyncRealityClient", "client"),
        ("reality.RealityServer().run()", "cli"),
        ("import reality.cli; reality.cli.main()", "cli"),
    ],
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    bare: Path, use: str, extra: str
) -> None:
    """A part without its extra fails at once, and says which pip line helps."""
    result = run_bare(bare, f"import reality; {use}")

    assert result.returncode != 0
    assert f"pip install 'reality-sync[{extra}]'" in result.stderr
    assert "not installed" in result.stderr


def test_a_missing_package_is_an_import_error(bare: Path) -> None:
    """Code that tries a part and goes on without it catches ImportError, as it does elsewhere."""
    script = """
import reality
try:
    reality.AsyncRealityClient
except ImportError as error:
    assert isinstance(error, reality.RealityError), error
    print(error.code)
"""
    assert run_bare(bare, script).stdout.strip() == "missing_dependency"
