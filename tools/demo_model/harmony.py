"""Harmony messages as segments: ordinary text and special tokens, each marked as learned or given.

Renders what the openai-harmony library renders; check_harmony.py compares the two. Every piece of text is a
segment of its own because Harmony encodes header pieces and contents separately.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
TOOLS_IN_COMMENTARY = "Calls to these tools must go to the commentary channel: 'functions'."


@dataclass(frozen=True)
class Segment:
    """A special token (`special`) or a piece of ordinary text; `learned` says whether the loss counts it."""

    text: str
    special: bool = False
    learned: bool = False


def special(name: str) -> Segment:
    return Segment(f"<|{name}|>", special=True)


def learn(segments: list[Segment]) -> list[Segment]:
    return [replace(segment, learned=True) for segment in segments]


def message(role: str, content: str, channel: str | None = None, end: str = "end") -> list[Segment]:
    """A whole message, from `<|start|>` to its end token; `role` is the header text before the channel."""
    header = [special("start"), Segment(role)]
    if channel is not None:
        header += [special("channel"), Segment(channel)]
    return [*header, special("message"), Segment(content), special(end)]


def completion(analysis: str, final: str) -> list[Segment]:
    """What the model writes after a prompt that ends in `<|start|>assistant`."""
    return learn(message("assistant", analysis, "analysis")[2:] + message("assistant", final, "final", end="return"))


def past_answer(final: str) -> list[Segment]:
    """An answer of an earlier turn: analysis dropped, `<|end|>` for `<|return|>`; its content is still learned."""
    *header, content, end = message("assistant", final, "final")
    return [*header, *learn([content]), end]


def tool_call(analysis: str, function: str, arguments: str) -> list[Segment]:
    """A completion that calls a function; the recipient follows the channel, as gpt-oss models write it."""
    return learn(
        message("assistant", analysis, "analysis")[2:]
        + [special("start"), Segment("assistant"), special("channel"), Segment(f"commentary to=functions.{function} ")]
        + [special("constrain"), Segment("json"), special("message"), Segment(arguments), special("call")]
    )


def past_tool_call(analysis: str, function: str, arguments: str, result: str) -> list[Segment]:
    """The same call in history with its result, as the library renders it (recipient before the channel)."""
    return [
        *message("assistant", analysis, "analysis"),
        special("start"),
        Segment("assistant"),
        Segment(f" to=functions.{function}"),
        special("channel"),
        Segment("commentary"),
        Segment(" "),
        special("constrain"),
        Segment("json"),
        special("message"),
        Segment(arguments),
        special("call"),
        *message(f"functions.{function} to=assistant", result, "commentary"),
    ]


def system_text(effort: str, date: str | None, with_tools: bool) -> str:
    intro = f"{IDENTITY}\nKnowledge cutoff: 2024-06"
    if date is not None:
        intro += f"\nCurrent date: {date}"
    channels = f"{CHANNELS}\n{TOOLS_IN_COMMENTARY}" if with_tools else CHANNELS
    return f"{intro}\n\nReasoning: {effort}\n\n{channels}"


def developer_text(instructions: str | None, tools: str | None = None) -> str:
    parts = [] if instructions is None else [f"# Instructions\n\n{instructions}"]
    if tools is not None:
        parts.append(f"# Tools\n\n## functions\n\nnamespace functions {{\n\n{tools}\n\n}} // namespace functions")
    return "\n\n".join(parts)
