"""What is measured. Run one as ``python -m benchmarks.NAME --json FILE``."""
