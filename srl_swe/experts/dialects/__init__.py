"""How other agents write their actions, as tables: a tool's name, and how it is said in our grammar.

`ways` holds the ways in which a tool can be said, `apply_patch` and `sweagent` those that need more; every other file
is one agent's table; `mapping` walks through a recording.
"""
