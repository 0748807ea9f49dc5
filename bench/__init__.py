"""Measurements of speed, latency and memory: `make bench`. The rows: docs/benchmarks.md."""
