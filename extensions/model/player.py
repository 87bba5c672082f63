"""The Player symphony/model: a language model behind the host's endpoint completes, explains and edits."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from symphony.sdk import Artifact, Context, PlayerFailure, player
from symphony.sdk.project import text_or_file

_LIMIT = 200_000
"""Characters of material: more is cut in the middle, and said so, since no model reads it all."""

Message = dict[str, str]


@player.function
def complete(
    ctx: Context,
    prompt: str,
    context: str | None = None,
    system: str | None = None,
    model: str | None = None,
    temperature: float = 0.2,
    max_tokens: int = 2048,
) -> Artifact:
    """The model's answer, streamed while it comes."""
    if not prompt.strip():
        raise PlayerFailure("The prompt is empty", remedy="say what the model shall do", code="bad_input")
    asked = f"{prompt}\n\n{_fenced(context)}" if context else prompt
    text = _ask(ctx, system, asked, model, temperature=temperature, max_tokens=max_tokens)
    return Artifact(text, name="answer.md", type="text/markdown")


@player.function
def explain(
    ctx: Context,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    question: str | None = None,
    audience: str = "a developer who is new to this project",
    model: str | None = None,
) -> Artifact:
    """What a text or a file means, in plain words."""
    material = text_or_file(project, text, path)
    system = (
        f"You explain source code and technical text to {audience}. Say first what it is for, then how it works, "
        "then what is surprising in it. Use plain words and Markdown. Do not invent what is not there."
    )
    asked = f"{question or 'Explain this.'}\n\n{f'File {path}:' if path else ''}\n{_fenced(material)}"
    answer = _ask(ctx, system, asked, model, temperature=0.2, max_tokens=2048)
    return Artifact(answer, name="explanation.md", type="text/markdown")


@player.function
def edit(
    ctx: Context,
    instruction: str,
    project: str | None = None,
    text: str | None = None,
    path: str | None = None,
    model: str | None = None,
) -> dict[str, Artifact]:
    """The text rewritten, and the difference; no file is changed."""
    if not instruction.strip():
        raise PlayerFailure("The instruction is empty", remedy="say what to change", code="bad_input")
    before = text_or_file(project, text, path)
    if len(before) > _LIMIT:
        raise PlayerFailure(
            f"The text has {len(before):,} characters, more than {_LIMIT:,}",
            remedy="edit a part of it",
            code="bad_input",
        )
    system = (
        "You edit files. Answer with the whole edited text inside one fenced code block and nothing else. "
        "Change only what the instruction asks for; keep everything else, also spacing, as it is."
    )
    asked = f"Instruction: {instruction}\n\n{f'File {path}:' if path else ''}\n{_fenced(before)}"
    answer = _ask(ctx, system, asked, model, temperature=0.0, max_tokens=None)
    after = _unfenced(answer)
    if before.endswith("\n") and not after.endswith("\n"):
        after += "\n"
    name = Path(path).name if path else "text.txt"
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{path or name}",
        f"b/{path or name}",
    )
    patch = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
    return {
        "edited": Artifact(after, name=name, type="text/plain"),
        "diff": Artifact(patch, name="edit.diff", type="text/x-diff"),
    }


def _ask(
    ctx: Context,
    system: str | None,
    asked: str,
    model: str | None,
    *,
    temperature: float,
    max_tokens: int | None,
) -> str:
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": asked})
    answer = ctx.complete(
        messages, model=model or None, max_tokens=max_tokens, temperature=temperature, stream=ctx.output
    )
    if not answer.text.strip():
        raise PlayerFailure(
            "The model gave an empty answer", remedy="try again, or choose another model", code="unavailable"
        )
    return answer.text


def _fenced(material: str) -> str:
    if len(material) > _LIMIT:
        half = _LIMIT // 2
        material = (
            f"{material[:half]}\n[… {len(material) - _LIMIT:,} characters left out …]\n{material[-half:]}"
        )
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", material)), default=0))
    return f"{fence}\n{material}\n{fence}"


def _unfenced(answer: str) -> str:
    """What stands in the answer's fence, or all of it when it has none."""
    found = re.search(r"^(`{3,})[^\n]*\n(.*?)^\1\s*$", answer, re.DOTALL | re.MULTILINE)
    return found[2] if found else answer


if __name__ == "__main__":
    player.serve()
