"""The house rules that no linter knows: budgets, names, docstrings, and what is never committed."""

from __future__ import annotations

import ast
import gc
import json
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import reality

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "reality"
BROWSER = ROOT / "clients" / "js"

FILE_LINES_MAX, FILE_LINES_AIM = 500, 300
FUNCTION_LINES_MAX, FUNCTION_LINES_AIM = 70, 50
# No more than this share of the files and functions in src may miss the aim.
LONG_SHARE_MAX = 0.1

with_browser = pytest.mark.skipif(
    not BROWSER.exists(), reason="the source archive of the Python package has no clients/js"
)

FOREIGN_FOLDERS = {"node_modules", "__pycache__", "build", "dist"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Function(NamedTuple):
    """A function or method, and where it stands."""

    path: Path
    node: FunctionNode

    @property
    def lines(self) -> int:
        """How long it is, from `def` to its last line."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1

    def __str__(self) -> str:
        return f"{shown(self.path)}:{self.node.lineno} {self.node.name}: {self.lines} lines"


def shown(path: Path) -> str:
    """The path as a reader of the report knows it."""
    return path.relative_to(ROOT).as_posix()


@cache
def own_files() -> tuple[Path, ...]:
    """What the project's authors wrote; nothing that tools made or installed."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name == ".ci" or not (name.startswith(".") or name in FOREIGN_FOLDERS)
        ]
        found += [Path(folder, name) for name in names if not name.endswith(".pyc")]
    return tuple(sorted(found))


def files(*suffixes: str, below: Path = ROOT) -> list[Path]:
    """The project's files in a folder with one of these suffixes."""
    return [each for each in own_files() if each.suffix in suffixes and each.is_relative_to(below)]


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    # Python 3.11 takes what a collection runs in the middle (Hypothesis has something there) for a
    # fault of its own: "AST constructor recursion depth mismatch".
    gc.disable()
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    finally:
        gc.enable()


def functions(below: Path = ROOT) -> list[Function]:
    """Every function and method of the Python files in a folder."""
    return [
        Function(path, node)
        for path in files(".py", below=below)
        for node in ast.walk(tree(path))
        if isinstance(node, FunctionNode)
    ]


def line_count(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def text_files() -> Iterator[tuple[str, str]]:
    """Name and text of every file that is text."""
    for path in own_files():
        try:
            yield shown(path), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_is_longer_than_the_hard_limit() -> None:
    """Every source file can be read in one sitting."""
    too_long = {
        shown(path): count
        for path in files(".py", ".js", ".mjs", ".ts", ".tsx", ".html", ".css")
        if (count := line_count(path)) > FILE_LINES_MAX
    }

    assert too_long == {}


def test_no_function_is_longer_than_the_hard_limit() -> None:
    """Every function fits on a screen."""
    assert [str(each) for each in functions() if each.lines > FUNCTION_LINES_MAX] == []


@pytest.mark.parametrize(
    "every",
    [files(".py", ".js", below=SOURCE), files(".ts", ".tsx", below=BROWSER / "src")],
    ids=["package", "browser"],
)
def test_few_source_files_are_longer_than_the_aim(every: list[Path]) -> None:
    """Nine of ten files keep to 300 lines, in the package and in the browser's client alike."""
    long = [shown(path) for path in every if line_count(path) > FILE_LINES_AIM]

    assert len(long) <= LONG_SHARE_MAX * len(every), long


def test_few_source_functions_are_longer_than_the_aim() -> None:
    """Nine of ten functions of the package keep to 50 lines."""
    every = functions(SOURCE)
    long = [str(each) for each in every if each.lines > FUNCTION_LINES_AIM]

    assert len(long) <= LONG_SHARE_MAX * len(every), long


def test_every_file_for_browsers_says_what_it_is() -> None:
    """A module in TypeScript begins with a comment, as one in Python has its docstring."""
    silent = [
        shown(path)
        for path in files(".ts", ".tsx", below=BROWSER)
        if not path.read_text(encoding="utf-8").startswith(("// ", "/** ", "/**\n"))
    ]

    assert silent == []


def test_no_module_for_browsers_has_state_of_its_own() -> None:
    """What changes belongs to a client, so that two clients on one page do not meet."""
    state = re.compile(r"^(?:export )?(?:let|var) ", re.MULTILINE)
    found = [
        shown(path)
        for path in files(".ts", ".tsx", below=BROWSER / "src")
        if state.search(path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_the_browsers_core_asks_the_world_for_nothing() -> None:
    """Chance is an argument there, too; Biome knows the other names that are out of bounds."""
    found = [
        shown(path)
        for path in files(".ts", below=BROWSER / "src" / "core")
        if "Math.random" in path.read_text(encoding="utf-8")
    ]

    assert found == []


@with_browser
def test_both_packages_have_one_version() -> None:
    """What npm has under a version talks to what PyPI has under the same."""
    package = json.loads((BROWSER / "package.json").read_text(encoding="utf-8"))

    assert package["name"] == "reality-sync"
    assert package["version"] == reality.__version__


@with_browser
def test_every_development_requirement_from_npm_is_pinned() -> None:
    """Without a lock file, the versions in package.json are what is installed."""
    package = json.loads((BROWSER / "package.json").read_text(encoding="utf-8"))
    exact = re.compile(r"(?:npm:[\w.@/-]+@)?\d+\.\d+\.\d+")
    loose = {
        name: version
        for name, version in package["devDependencies"].items()
        if not exact.fullmatch(version)
    }

    assert loose == {}
    assert "dependencies" not in package


def test_every_file_is_named_after_what_it_is() -> None:
    """No file or folder is a place for whatever has no place."""
    vague = [
        shown(path)
        for path in own_files()
        if VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parent.parts}
    ]

    assert vague == []


def test_a_note_of_work_to_do_names_its_issue() -> None:
    """What is left undone is an issue, so that it is found again."""
    orphan = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\(#\d+\))")
    found = [
        f"{name}:{number}"
        for name, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if orphan.search(line)
    ]

    assert found == []


def test_core_asks_the_world_for_nothing() -> None:
    """Core imports nothing that its contract forbids, nor opens files, not even in a function."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (forbidden,) = (set(each["forbidden_modules"]) for each in contracts if each["id"] == "pure")
    found = []
    for path in files(".py", below=SOURCE / "core"):
        for node in ast.walk(tree(path)):
            used = _imported(node) & forbidden or _called(node) & {"open", "print", "input"}
            found += [f"{shown(path)}: {name}" for name in sorted(used)]

    assert {"asyncio", "threading", "time", "random", "os", "socket", "logging"} <= forbidden
    assert found == []


def _imported(node: ast.AST) -> set[str]:
    """The top-level packages that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module is not None:
        return {node.module.partition(".")[0]}
    return set()


def _called(node: ast.AST) -> set[str]:
    """The plain name that an expression calls."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return {node.func.id}
    return set()


def test_only_commands_print() -> None:
    """The library speaks through its results, errors and loggers; only cli and demo print."""
    found = [
        shown(path)
        for path in files(".py", below=SOURCE)
        if path.relative_to(SOURCE).parts[0] not in ("cli", "demo")
        for node in ast.walk(tree(path))
        if "print" in _called(node)
    ]

    assert found == []


def test_everything_public_is_documented() -> None:
    """Every module, public class and public function of the package says what it is."""
    silent = [
        f"{shown(path)}: {name}"
        for path in files(".py", below=SOURCE)
        for name, node in _public(tree(path), path.stem)
        if ast.get_docstring(node) is None
    ]

    assert silent == []


Documented = ast.Module | ast.ClassDef | FunctionNode


def _public(node: Documented, name: str) -> Iterator[tuple[str, Documented]]:
    yield name, node
    if isinstance(node, FunctionNode):
        return
    for each in node.body:
        if isinstance(each, ast.ClassDef | FunctionNode) and not each.name.startswith("_"):
            yield from _public(each, f"{name}.{each.name}")


def test_no_file_names_a_place_on_one_machine() -> None:
    """Nothing committed holds the path of this checkout or of somebody's home."""
    home = re.compile(r"/(?:home|Users)/[a-z]|\bC:\\Users\b")
    # A checkout in a folder such as /app has too common a name to look for.
    checkout = str(ROOT) if len(ROOT.parts) > 2 else "\0"
    found = [
        name
        for name, text in text_files()
        if checkout in text or (home.search(text) and name != shown(Path(__file__)))
    ]

    assert found == []


def test_requirements_name_no_registry() -> None:
    """Pins and lock files hold names and versions; where to get them is each machine's business."""
    flags = re.MULTILINE
    address = re.compile(r"(?:https?|file)://|--(?:extra-)?index-url|--find-links|^registry", flags)
    pinned = re.compile(r"requirements.*\.txt|.*lock.*|package\.json|\.npmrc|pip\.conf")
    found = [
        name
        for name, text in text_files()
        if pinned.fullmatch(Path(name).name) and address.search(text)
    ]

    assert found == []


def test_every_development_requirement_is_pinned() -> None:
    """`make` installs the same versions today and next year."""
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    loose = [
        line
        for line in lines
        if line and not line.startswith("#") and not re.match(r"[\w.-]+==[\w.]+(;|$)", line)
    ]

    assert loose == []
