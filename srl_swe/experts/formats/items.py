"""Items of OpenAI's Responses API: messages, reasoning, calls, and the outputs of calls, in one list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from srl_swe.experts.formats.content import identity, joined, text_of
from srl_swe.experts.formats.fields import Field, compact
from srl_swe.experts.formats.recordings import Turn
from srl_swe.experts.formats.replies import read_reply, said_in
from srl_swe.records import ToolCall


@dataclass(slots=True)
class Items:
    """The turns that items make, as they come."""

    turns: list[Turn] = field(default_factory=list)
    """So far."""
    said: list[str] = field(default_factory=list)
    """What the agent said since it last acted: the thought of its next call, or an answer without one."""
    calls: dict[str, int] = field(default_factory=dict)
    """Where each call's turn is."""

    def add(self, item: Field) -> None:
        """Take one item.

        Raises:
            TrajectoryError: it is not one.
        """
        kind = "message" if "role" in item.mapping() and "type" not in item.mapping() else item["type"].text()
        if kind == "message":
            if item.mapping().get("role", "assistant") == "assistant":
                self.said.append(text_of(item.get("content")))
            else:
                self._saw("", text_of(item.get("content")))
        elif kind == "reasoning":
            self.said.append(joined(text_of(item.get("summary")), text_of(item.get("content"))))
        elif kind.endswith("_call_output"):
            self._saw(identity(item.get("call_id")), text_of(item.get("output")))
        elif kind.endswith("_call"):
            self.calls[identity(item.first("call_id", "id"))] = len(self.turns)
            self.turns.append(Turn(thought=joined(*map(said_in, self.said)), call=read_item_call(item)))
            self.said = []

    def _saw(self, call: str, text: str) -> None:
        """What came back belongs to its call, else to what was just said, else to what was last done."""
        if call not in self.calls or not call:
            self._close()
        place = self.calls.get(call, len(self.turns) - 1) if call else len(self.turns) - 1
        if place >= 0:
            seen = self.turns[place].observation
            self.turns[place] = replace(self.turns[place], observation=f"{seen}\n{text}" if seen else text)

    def _close(self) -> None:
        if spoken := joined(*self.said):
            for reply in read_reply(spoken, calls_tools=bool(self.calls)):
                self.turns.append(Turn(thought=reply.thought, call=reply.call, command=reply.command))
        self.said = []

    def finished(self) -> Iterator[Turn]:
        """All turns; what was said last is one."""
        self._close()
        yield from self.turns


def read_items(items: Iterable[Field]) -> list[Turn]:
    """The turns that a list of items makes.

    Raises:
        TrajectoryError: an item is not one.
    """
    taken = Items()
    for item in items:
        taken.add(item)
    return list(taken.finished())


def read_item_call(item: Field) -> ToolCall:
    """The call of an item.

    Raises:
        TrajectoryError: it is not one.
    """
    name, arguments = item.get("name"), item.first("arguments", "input", "action")
    tool = name.name() if name is not None else item["type"].text().removesuffix("_call")
    return ToolCall(name=tool, arguments=compact(arguments.value if arguments is not None else {}))
