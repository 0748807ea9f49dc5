"""The arrows between the parts, as written and as loaded (DESIGN section 6, ARCHITECTURE.md)."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reality

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"

OPTIONAL = {"fastapi", "granian", "httpx2", "rich", "starlette", "typer", "uvicorn", "uvloop"}


def lint_imports(source: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml on a folder that holds the package."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml"],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads into a fresh interpreter."""
    script = f"import sys\nold = {{*sys.modules}}\n{statement}\nprint(*{{*sys.modules}} - old)"
    output = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(output.split())


def test_every_import_goes_along_the_arrows() -> None:
    """The contracts in pyproject.toml are kept."""
    result = lint_imports(SOURCE)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("core.keys", "time"),
        ("core.keys", "reality.storage.memory"),
        ("client.state", "reality.server.stats"),
        ("server.state", "reality.http.routes"),
        ("server.state", "httpx2"),
        ("http.routes", "reality.demo"),
    ],
)
def test_an_import_against_the_arrows_is_found(tmp_path: Path, module: str, imported: str) -> None:
    """The contracts are not empty: each kind of wrong import breaks one."""
    copy = shutil.copytree(SOURCE / "reality", tmp_path / "reality")
    with copy.joinpath(*module.split(".")).with_suffix(".py").open("a") as file:
        file.write(f"\nimport {imported}\n")
    result = lint_imports(tmp_path)

    assert result.returncode != 0
    assert f"reality.{module} -> {imported} " in result.stdout


def test_a_part_without_a_place_is_found(tmp_path: Path) -> None:
    """A new part of the package fails until the arrows say where it stands."""
    copy = shutil.copytree(SOURCE / "reality", tmp_path / "reality")
    (copy / "unplaced.py").touch()
    result = lint_imports(tmp_path)

    assert result.returncode != 0
    assert "unplaced" in result.stdout


def test_parts_import_each_other_and_not_the_front() -> None:
    """`import reality` is for users: from there a part could reach any other, unseen."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in (SOURCE / "reality").rglob("*.py")
        if path.relative_to(SOURCE / "reality").parts[0] not in ("cli", "demo")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.Import) and "reality" in {each.name for each in node.names})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "reality"
            and {each.name for each in node.names} != {"__version__"}
        )
    ]

    assert found == []


def test_importing_reality_loads_next_to_nothing() -> None:
    """`import reality` loads no event loop, no server, no client and no optional package."""
    loaded = loaded_by("import reality")

    assert {each for each in loaded if each.startswith("reality")} == {"reality"}
    assert loaded & (OPTIONAL | {"asyncio", "logging", "msgspec", "socket", "threading"}) == set()


def test_the_rules_load_no_event_loop() -> None:
    """All of core together loads no asyncio, threads, sockets or logging."""
    modules = sorted(path.stem for path in (SOURCE / "reality" / "core").glob("[!_]*.py"))
    loaded = loaded_by("".join(f"import reality.core.{name}\n" for name in modules))

    assert {f"reality.core.{name}" for name in modules} <= loaded
    assert loaded & (OPTIONAL | {"asyncio", "logging", "socket", "threading", "random"}) == set()
    assert not {each for each in loaded if each.startswith(("reality.server", "reality.client"))}


def test_a_server_loads_no_client_and_no_http() -> None:
    """Making a server loads neither the client, nor HTTP, nor any optional package."""
    loaded = loaded_by("import reality; reality.RealityServer()")

    assert "reality.server.server" in loaded
    assert loaded & (OPTIONAL | {"reality.client", "reality.http"}) == set()


def test_an_application_loads_no_optional_package() -> None:
    """`server.asgi()` needs the base install only."""
    loaded = loaded_by("import reality; reality.RealityServer().asgi()")

    assert "reality.http.asgi" in loaded
    assert loaded & OPTIONAL == set()


def test_a_client_loads_no_server() -> None:
    """The client's only optional package is httpx2, and it knows nothing of the server."""
    loaded = loaded_by("import reality; reality.AsyncRealityClient")

    assert loaded & OPTIONAL == {"httpx2"}
    assert not {each for each in loaded if each.startswith(("reality.server", "reality.http"))}


@pytest.mark.parametrize("name", [each for each in reality.__all__ if each != "__version__"])
def test_every_public_name_can_be_loaded_first(name: str) -> None:
    """No public name depends on another having been used before it."""
    assert loaded_by(f"from reality import {name}")
