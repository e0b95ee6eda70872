"""What one can browse: an entry is an episode, a step, a group of rollouts or a trajectory, and consists of parts.

All pages that browse show entries, so that one script draws them all (``static/site.js``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from srl_swe.environments.actions import parse_action
from srl_swe.errors import MalformedActionError
from srl_swe.evaluation.site.markers import thought_of
from srl_swe.evaluation.site.text import clean, clip
from srl_swe.rewards.similarity import matching_blocks

Tone = Literal["good", "bad", "warn", "plain"]
"""How a tag is coloured; its words say the same."""

THOUGHT_CHARS = 8_000
ACTION_CHARS = 3_000
TEXT_CHARS = 16_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A step of an episode or trajectory, or one answer to a step."""

    title: str
    """Its heading."""
    tags: tuple[tuple[str, Tone], ...] = ()
    """Short words about it."""
    scores: tuple[tuple[str, float], ...] = ()
    """Reward and its parts, by name."""
    thought: str = ""
    """What was thought."""
    action: str = ""
    """What was done."""
    action_name: str = "Action"
    """How the action is headed."""
    expert: str | None = None
    """The expert's action beside it."""
    blocks: tuple[int, ...] = ()
    """The matching blocks of both, flat: start in the action, start in the expert's, length; in characters."""
    observation: str = ""
    """What came back."""
    texts: tuple[tuple[str, str], ...] = ()
    """More, folded: (heading, text)."""
    folded: bool = False
    """Whether it is closed at first."""

    def record(self) -> dict[str, Any]:
        """As the script reads it; what is empty is left out."""
        fields = {
            "title": clean(self.title),
            "tags": [[clean(text), tone] for text, tone in self.tags],
            "scores": [[clean(name), round(value, 4)] for name, value in self.scores],
            "thought": clean(clip(self.thought, THOUGHT_CHARS)),
            "action": clean(clip(self.action, TEXT_CHARS)),
            "actionName": self.action_name,
            "expert": None if self.expert is None else clean(clip(self.expert, TEXT_CHARS)),
            "blocks": list(self.blocks),
            "observation": clean(clip(self.observation, TEXT_CHARS)),
            "texts": [[clean(name), clean(clip(text, TEXT_CHARS))] for name, text in self.texts],
            "folded": self.folded,
        }
        return {key: value for key, value in fields.items() if value not in ("", None, [], False)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is shown when a row is chosen."""

    title: str
    """Its heading."""
    facts: tuple[tuple[str, str], ...] = ()
    """(name, value)."""
    notes: tuple[str, ...] = ()
    """What went wrong."""
    texts: tuple[tuple[str, str], ...] = ()
    """Before its parts, folded: (heading, text)."""
    parts: tuple[Part, ...] = ()
    """In order."""

    def record(self) -> dict[str, Any]:
        """As the script reads it."""
        return {
            "title": clean(self.title),
            "facts": [[clean(name), clean(value)] for name, value in self.facts if value],
            "notes": [clean(note) for note in self.notes],
            "texts": [[clean(name), clean(clip(text, TEXT_CHARS))] for name, text in self.texts if text],
            "parts": [part.record() for part in self.parts],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of the list."""

    title: str
    """Its name."""
    detail: str
    """A second line."""
    badge: str
    """Its outcome in a word or a number."""
    tone: Tone
    """The badge's colour."""
    facets: tuple[str, ...]
    """Its value for each filter, in their order."""
    sorts: tuple[float, ...] = ()
    """Its value for each order but the first, greatest first; the first is the order in which rows come."""


def marked_part(
    title: str,
    text: str,
    expert: str,
    *,
    well_formed: bool | None = None,
    tags: Sequence[tuple[str, Tone]] = (),
    **more: Any,
) -> Part:
    """An answer beside the expert's action, with the blocks that its similarity counts. See `read_answer`."""
    thought, action, problem = read_answer(text, well_formed=well_formed)
    student, beside = clean(clip(action.strip(), ACTION_CHARS)), clean(clip(expert.strip(), ACTION_CHARS))
    blocks: tuple[int, ...] = ()
    if problem is None:
        blocks = tuple(n for b in matching_blocks(student, beside) for n in (b.a_start, b.b_start, b.size))
    else:
        tags = (*tags, (f"malformed: {problem}", "bad"))
    return Part(
        title=title,
        tags=tuple(tags),
        thought=thought,
        action=student,
        action_name="Student" if problem is None else "Student, the whole answer",
        expert=beside,
        blocks=blocks,
        **more,
    )


def read_answer(text: str, *, well_formed: bool | None = None) -> tuple[str, str, str | None]:
    """An answer's thought, its action, and why it is malformed; where it is, its whole text is the action.

    Args:
        text: The answer.
        well_formed: What was found when it was scored: an answer that is no shell command may be well-formed in the
            form of another domain, and is then whatever follows its thought.
    """
    try:
        thought, action = parse_action(text)
    except MalformedActionError as error:
        if well_formed:
            return thought_of(text), text.rpartition("</think>")[2].strip(), None
        return "", text, str(error)
    return thought, action.command, None
