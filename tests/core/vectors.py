"""How a file of `conformance/vectors` is read; `conformance/README.md` has the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[2] / "conformance" / "vectors"


def section(file: str, name: str) -> list[Any]:
    """One list of cases."""
    cases = json.loads((_FOLDER / file).read_text(encoding="utf-8"))[name]
    assert isinstance(cases, list)
    assert cases, f"{file} has no case in {name}"
    return cases


def each(file: str, name: str) -> pytest.MarkDecorator:
    """Run a test once for each case of a list, as its argument `case`."""
    cases = section(file, name)
    return pytest.mark.parametrize("case", cases, ids=[_label(case) for case in cases])


def spelled_out(text: Any) -> str:
    """The text behind `"…"`, `{"repeat": …, "times": …}` or a list of such parts."""
    if isinstance(text, list):
        return "".join(spelled_out(part) for part in text)
    return text["repeat"] * text["times"] if isinstance(text, dict) else str(text)


def _label(case: Any) -> str:
    return ascii(case.get("about") or next(iter(case.values())))[1:-1][:60]
