"""The example of docs/own-store.md, as a stranger would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-store.md"
BLOCK = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_store_of_the_document_passes_the_contract(tmp_path: Path) -> None:
    """Its blocks, saved under the names they begin with, pass: without settings or plugins."""
    blocks = BLOCK.findall(DOCUMENT.read_text())
    assert ["file_store.py", "test_file_store.py"] == [name for name, _ in blocks]
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_file_store.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\b5\d passed\b", ran.stdout)
