"""Keys and passwords in trajectories: what a model is trained on must hold none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from srl_swe.records import Trajectory

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in {
        "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
        "AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
        "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
        "Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
        "Google API key": r"\bAIza[0-9A-Za-z_-]{35}",
        "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
        "PyPI token": r"\bpypi-AgEIcHlwaS[A-Za-z0-9_-]{50,}",
        "npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
        "Stripe key": r"\b[rs]k_live_[0-9a-zA-Z]{20,}",
        "OpenAI or Anthropic key": r"\bsk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{32,}",
        "JSON web token": r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{15,}",
        "password in a URL": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"<>{}$]+:(?i:(?!pass|secret|hunter|x{3}|\*))[^\s/@'\"<>{}$]{6,}@[\w.-]+",
        "bearer token": r"(?i)\bauthorization:\s*(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{20,}",
    }.items()
)


def secrets_in(text: str) -> list[str]:
    """The kinds of secrets found in a text, each once; never the secrets themselves."""
    return [name for name, pattern in _PATTERNS if pattern.search(text)]


def secrets_of(trajectory: Trajectory) -> Iterator[tuple[int, str]]:
    """(step counted from 0, kind of secret) for all that thoughts, actions and observations hold."""
    for k, step in enumerate(trajectory.steps):
        for kind in secrets_in(f"{step.thought}\n{step.action}\n{step.observation}"):
            yield k, kind
