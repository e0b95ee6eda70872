"""Expert trajectories: read and written as JSONL, recorded by an oracle, replayed, and cut into step instances."""
