"""How good a policy is: episodes over a split, single steps against the expert's, and the report of a run."""
