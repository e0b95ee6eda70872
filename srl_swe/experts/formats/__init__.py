"""Trajectories in the formats of other agents: one file a format.

`reading` recognises a row's format and reads it into a `Recording` (what the agent thought, did and saw, in its own
words); `srl_swe.experts.dialects` puts the actions into our grammar; `writing` writes trajectories for others.
"""
