"""`create_hash` is the same in JavaScript."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from hypothesis import given, settings

from reality.core.hashing import canonical_json, create_hash
from tests.core.json_data import json_data
from tests.core.vectors import section
from tests.support.programs import require_program

# Written by hand after RFC 8785 section 3.2: it shares nothing with what it checks.
_NODE = """
const canonical = (value) => {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return "{" + members.map((m) => JSON.stringify(m) + ":" + canonical(value[m])).join(",") + "}";
};
const { createHash } = require("node:crypto");
let text = "";
process.stdin.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => {
  const out = JSON.parse(text).map((each) => {
    const written = canonical(JSON.parse(each));
    return [written, createHash("sha256").update(written, "utf8").digest("hex").slice(0, 32)];
  });
  process.stdout.write(JSON.stringify(out));
});
"""


def test_node_agrees() -> None:
    """Node writes the same text and hash for the same data, vectors and random, in one go."""
    node = require_program("node", debian_package="nodejs")
    texts = [case["json"] for case in section("hash.json", "canonical")]

    @settings(max_examples=500, database=None)
    @given(json_data)
    def collect(data: Any) -> None:
        texts.append(json.dumps(data))

    collect()
    done = subprocess.run(
        [node, "-e", _NODE], input=json.dumps(texts).encode(), capture_output=True, check=True
    )
    expected = [[canonical_json(data), create_hash(data)] for data in map(json.loads, texts)]
    assert json.loads(done.stdout) == expected
