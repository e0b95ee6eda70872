"""Maths problems as tasks: suites of them, and the formats that they come in.

- `problems`: a suite's ``problems.jsonl``; `drafts`: what a format's reader makes of a row.
- `gsm8k`, `s1k`, `competition_math`, `contests`, `minerva`, `olympiadbench`, `columns`: one module a format.
- `importing`: rows of any format into a suite; `generating`: problems that reasoning-gym makes.
"""
