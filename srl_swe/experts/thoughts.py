"""What the oracle thinks before an action: short sentences made of the task's own words and what it has seen."""

from __future__ import annotations

import keyword
import random
import re

from srl_swe.experts.plans import PlannedStep

MOST_WORDS = 25
"""Longest thought."""


def thought_for(step: PlannedStep, seen: str, rng: random.Random) -> str:
    """The thought before a step.

    Args:
        step: The step to come.
        seen: The last observation; empty at the start.
        rng: Decides between phrasings.
    """
    facts = dict(step.facts)
    if "title" in facts:
        facts["title"] = _shorten(facts["title"], 12)
    if step.kind == "edit" or (step.kind == "slip" and facts["slip"] != "path"):
        text = _edit_thought(step, rng)
    elif step.kind == "submit":
        text = _submit_thought(seen, rng)
    else:
        text = rng.choice(_phrases(step, seen)).format_map(_Words(facts))
    return _shorten(text, MOST_WORDS).replace("….", "…")


def _phrases(step: PlannedStep, seen: str) -> tuple[str, ...]:
    facts = step.facts
    if step.kind == "orient":
        return (
            "The issue: {title}. First I look at how the repository is laid out.",
            "I start with the layout of the repository, then look for the cause of: {title}.",
            "To find my way before I work on this issue: {title}.",
        )
    if step.kind == "reproduce":
        if facts.get("after"):
            return (
                "Does the issue's example give what was expected now?",
                "I run the example from the issue once more.",
            )
        return (
            "First I want to see it fail: I run the example from the issue.",
            "I reproduce the issue: {title}.",
        )
    if step.kind == "slip":
        return ("I open the file that has to change.", "Let me read {path}.")
    if step.kind == "undo":
        return (
            "A test fails because of my change; I take it back and do it right.",
            "That edit was wrong, as the tests show. Back to the state before it.",
        )
    if step.kind == "search":
        if facts.get("named"):
            return (
                "The issue is about {ident}; I search where the code has it.",
                "Where is {ident} defined and used? I search for it.",
                "The word to look for is {ident}.",
            )
        return (
            "This is probably decided in {ident}; I look for it.",
            "I look for where {ident} is defined.",
        )
    if step.kind == "view":
        if facts.get("ident") and facts["path"] in seen:
            return (
                "{path} has {ident}; I read the code around line {line}.",
                "The search leads to {path}; I read it around line {line}.",
            )
        if facts.get("imports"):
            return ("What does {path} import so far?", "The new code needs an import; I look at the top of {path}.")
        if facts.get("scope"):
            return ("{scope} in {path} is concerned too; I read it.", "Now I read {scope} in {path}.")
        return ("I read {path} around line {line}.",)
    if step.kind == "tests":
        return (
            "What do the tests of this module expect already?",
            "I see what {path} checks before the change.",
        )
    if step.kind == "check" and facts.get("tested"):
        return ("Before I submit, I look over what I have changed.", "A last look at the change.")
    if step.kind == "check":
        return ("I check that the change came out as I meant it.", "I look at the change once more before testing.")
    if facts.get("untested"):
        return ("There are no tests to run here, so I check that the code compiles.",)
    if facts.get("before"):
        return ("Do the tests pass before I change anything?", "I run the tests first, to know where things stand.")
    return ("The change looks right; I run the tests.", "Now I make sure that nothing else broke.")


def _edit_thought(step: PlannedStep, rng: random.Random) -> str:
    facts = step.facts
    place = f"In {facts['scope']}" if facts.get("scope") else f"In {facts['path']}"
    if facts.get("mended"):
        return rng.choice(
            (f"{place}, this is what I meant to write.", f"{place}, my edit had a mistake; I correct it.")
        )
    if facts["edit"] == "create":
        return f"The change needs a new file, {facts['path']}; I write it."
    if facts["edit"] == "delete":
        return f"{facts['path']} is not needed any more; I remove it."
    if facts["edit"] == "rename":
        return f"{facts['path']} has to be called {facts['new']}."
    if facts["edit"] == "rewrite":
        return f"{place}, most lines change, so I write the file anew."
    if facts.get("imports"):
        return f"{facts['path']} has to import {_list(_difference(facts['old'], facts['new'])[-1:]) or 'this'} too."
    added, removed = _difference(facts["old"], facts["new"]), _difference(facts["new"], facts["old"])
    if added and removed:
        choices: tuple[str, ...] = (
            f"{place}, {_list(removed)} will not do; it takes {_list(added)}.",
            f"{place}, I use {_list(added)} instead of {_list(removed)}.",
        )
    elif added:
        choices = (
            f"{place}, {_list(added)} {'is' if len(added) == 1 else 'are'} missing.",
            f"{place}, the code does not handle this yet; I bring in {_list(added)}.",
        )
    elif removed:
        choices = (f"{place}, {_list(removed)} should not be there.",)
    else:
        what = "condition" if re.search(r"\b(if|while|and|or|not)\b|[<>=!]=|[<>]", facts["old"]) else "expression"
        choices = (
            f"{place}, the {what} is not right; I correct it.",
            f"Here is the cause: {place[0].lower()}{place[1:]} the {what} is wrong. I correct it.",
        )
    return rng.choice(choices)


def _submit_thought(seen: str, rng: random.Random) -> str:
    failed, passed = re.search(r"(\d+) failed", seen), re.search(r"(\d+) passed", seen)
    if failed:
        return f"{failed[1]} of the visible tests still fail, but the change does what the issue asks; I submit."
    if passed:
        return rng.choice(
            (
                f"All {passed[1]} tests pass and the issue is dealt with; I submit.",
                f"{passed[1]} tests pass, the change is complete; I submit it.",
            )
        )
    return "The change is complete; I submit it."


def _difference(old: str, new: str) -> list[str]:
    """Up to two names that the new text has and the old one has not."""
    known = set(re.findall(r"[A-Za-z_]\w*", old))
    code = re.sub(r'"""(.|\n)*?"""|#.*', "", new)
    words = [word for word in re.findall(r"[A-Za-z_][\w.]*", code) if word.split(".")[-1] not in known]
    names = [word.strip(".") for word in words if len(word) > 2 and not keyword.iskeyword(word)]
    return list(dict.fromkeys(names))[:2]


def _list(names: list[str]) -> str:
    return " and ".join(names)


def _shorten(text: str, words: int) -> str:
    parts = text.split()
    return text if len(parts) <= words else " ".join(parts[:words]).rstrip(".,;:") + "…"


class _Words(dict[str, str]):
    """A missing fact is an empty word, not an error in the middle of a recording."""

    def __missing__(self, key: str) -> str:
        return ""
