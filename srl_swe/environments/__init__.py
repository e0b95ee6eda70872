"""gymnasium environments over text: what an agent sees, how its answer is read, and what it is worth.

- `actions`: the one grammar of an answer; `prompts`: the chat; `scoring`: the reward of one step.
- `repo`: `RepoEnv`, registered as ``srl_swe/Repo-v0``; `options` and `snapshots` are its parts.
- `mathematics`: `MathEnv`, registered as ``srl_swe/Math-v0``; `solutions` is its form of answers and its chat.
- `answers`: answers in the form of their domain, `actions` or `solutions`.
- `batch`: `EnvironmentBatch`, many at once without waiting for the slow ones; `batch_result` is what it returns.
- `expert_replay`: `ExpertReplay`, the wrapper that is Supervised Reinforcement Learning.
"""
