"""Compare harmony.py with the openai-harmony library: python -m tools.demo_model.check_harmony TOKENIZER_JSON.

TOKENIZER_JSON is gpt-oss's own file, from which the library's vocabulary is rebuilt, so no download is needed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import tempfile
from pathlib import Path

from openai_harmony import (
    Author,
    Conversation,
    DeveloperContent,
    HarmonyEncodingName,
    Message,
    ReasoningEffort,
    Role,
    SystemContent,
    ToolDescription,
    load_harmony_encoding,
)
from tokenizers import pre_tokenizers

from tools.demo_model import harmony
from tools.demo_model.harmony import Segment


def write_vocabulary(tokenizer_json: Path, folder: Path) -> None:
    """Write o200k_base.tiktoken: one line per text token, its bytes in base 64 and its rank."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    assert set(byte_of) == set(pre_tokenizers.ByteLevel.alphabet())
    vocab = json.loads(tokenizer_json.read_text())["model"]["vocab"]
    lines = (
        f"{base64.b64encode(bytes(byte_of[c] for c in token)).decode()} {rank}\n"
        for token, rank in sorted(vocab.items(), key=lambda item: item[1])
    )
    (folder / "o200k_base.tiktoken").write_text("".join(lines))


def cases() -> list[tuple[str, list[Message], list[Segment]]]:
    """Conversations as the library's messages and as our segments."""
    found = []
    question, answer, follow_up = "What is the capital of France?", "The capital of France is Paris.", "And Spain?"
    efforts = {"low": ReasoningEffort.LOW, "medium": ReasoningEffort.MEDIUM, "high": ReasoningEffort.HIGH}
    for effort, library_effort in efforts.items():
        for date in (None, "2025-11-20"):
            system = SystemContent.new().with_reasoning_effort(library_effort)
            if date is not None:
                system = system.with_conversation_start_date(date)
            found.append(
                (
                    f"effort {effort}, date {date}, two turns",
                    [
                        Message.from_role_and_content(Role.SYSTEM, system),
                        Message.from_role_and_content(
                            Role.DEVELOPER, DeveloperContent.new().with_instructions("Be kind.")
                        ),
                        Message.from_role_and_content(Role.USER, question),
                        Message.from_role_and_content(Role.ASSISTANT, "It is Paris.").with_channel("analysis"),
                        Message.from_role_and_content(Role.ASSISTANT, answer).with_channel("final"),
                        Message.from_role_and_content(Role.USER, follow_up),
                    ],
                    [
                        *harmony.message("system", harmony.system_text(effort, date, with_tools=False)),
                        *harmony.message("developer", harmony.developer_text("Be kind.")),
                        *harmony.message("user", question),
                        *harmony.past_answer(answer),
                        *harmony.message("user", follow_up),
                    ],
                )
            )
    tool = ToolDescription.new(
        "get_weather",
        "Current weather",
        parameters={
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city"}},
            "required": ["location"],
        },
    )
    declaration = "// Current weather\ntype get_weather = (_: {\n// The city\nlocation: string,\n}) => any;"
    arguments, result = '{"location":"Paris"}', '{"temperature":20,"sky":"sunny"}'
    call = Message.from_role_and_content(Role.ASSISTANT, arguments).with_channel("commentary")
    tool_author = Author.new(Role.TOOL, "functions.get_weather")
    answer_of_tool = Message.from_author_and_content(tool_author, result).with_channel("commentary")
    found.append(
        (
            "function call",
            [
                Message.from_role_and_content(Role.SYSTEM, SystemContent.new()),
                Message.from_role_and_content(Role.DEVELOPER, DeveloperContent.new().with_function_tools([tool])),
                Message.from_role_and_content(Role.USER, "Weather in Paris?"),
                Message.from_role_and_content(Role.ASSISTANT, "I call it.").with_channel("analysis"),
                call.with_recipient("functions.get_weather").with_content_type("<|constrain|>json"),
                answer_of_tool.with_recipient("assistant"),
            ],
            [
                *harmony.message("system", harmony.system_text("medium", None, with_tools=True)),
                *harmony.message("developer", harmony.developer_text(None, declaration)),
                *harmony.message("user", "Weather in Paris?"),
                *harmony.past_tool_call("I call it.", "get_weather", arguments, result),
            ],
        )
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer_json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_vocabulary(args.tokenizer_json, Path(folder))
        os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
        encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
        for name, messages, segments in cases():
            ids = encoding.render_conversation_for_completion(Conversation.from_messages(messages), Role.ASSISTANT)
            theirs = encoding.decode(ids)
            ours = "".join(segment.text for segment in segments) + "<|start|>assistant"
            if ours != theirs:
                raise SystemExit(f"{name}:\nours   {ours!r}\ntheirs {theirs!r}")
            print(f"{name}: equal")


if __name__ == "__main__":
    main()
