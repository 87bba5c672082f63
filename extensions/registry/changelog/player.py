"""The Player symphony/changelog: release notes from commits."""

from __future__ import annotations

import re

from symphony.sdk import Artifact, Context, player

_CONVENTIONAL = re.compile(r"(?P<kind>[a-zA-Z]+)(?:\((?P<scope>[^)]*)\))?(?P<breaking>!)?:\s+(?P<text>.+)")
_KINDS = {
    "feat": "Added",
    "feature": "Added",
    "fix": "Fixed",
    "bugfix": "Fixed",
    "perf": "Faster",
    "security": "Security",
    "revert": "Reverted",
    "deprecate": "Deprecated",
    "remove": "Removed",
    "docs": "Documentation",
    "refactor": "Changed",
}
_INTERNAL = {"chore", "ci", "build", "style", "test", "tests", "wip", "deps"}
_WORDING = (
    (re.compile(r"\b(security|vulnerab|CVE-\d)", re.IGNORECASE), "Security"),
    (re.compile(r"^(fix|repair|correct|mend|resolve|handle)\w*\b", re.IGNORECASE), "Fixed"),
    (re.compile(r"^(add|implement|introduce|support|allow|create|new)\w*\b", re.IGNORECASE), "Added"),
    (re.compile(r"^(remove|delete|drop)\w*\b", re.IGNORECASE), "Removed"),
    (re.compile(r"^revert\b", re.IGNORECASE), "Reverted"),
    (re.compile(r"^(speed|optimi[sz]e|faster)\w*\b", re.IGNORECASE), "Faster"),
    (re.compile(r"^(document|readme|docs?)\b", re.IGNORECASE), "Documentation"),
)
_ORDER = (
    *("Breaking changes", "Security", "Added", "Changed", "Faster", "Fixed"),
    *("Deprecated", "Removed", "Reverted", "Documentation", "Housekeeping"),
)


@player.function
def notes(
    ctx: Context,
    commits: list[dict[str, object]],
    version: str = "Unreleased",
    authors: bool = False,
    internal: bool = False,
) -> Artifact:
    """Release notes in the order of what matters to a reader."""
    groups: dict[str, list[str]] = {}
    for commit in commits:
        if commit.get("merge"):
            continue
        group, line = classify(str(commit.get("subject", "")), str(commit.get("body", "")))
        if group == "Housekeeping" and not internal:
            continue
        details = [str(commit["short"])] if commit.get("short") else []
        if authors and commit.get("author"):
            details.append(str(commit["author"]))
        entry = f"- {line}" + (f" ({', '.join(details)})" if details else "")
        groups.setdefault(group, []).append(entry)
    blocks = [f"## {version}{_span(commits)}"]
    blocks += [f"### {group}\n\n" + "\n".join(groups[group]) for group in _ORDER if group in groups]
    if not groups:
        blocks.append("No changes.")
    return Artifact("\n\n".join(blocks) + "\n", name="changelog.md", type="text/markdown")


def classify(subject: str, body: str) -> tuple[str, str]:
    """The group of a commit, and its line: by conventional prefix, else by its first word."""
    found = _CONVENTIONAL.fullmatch(subject.strip())
    breaking = re.search(r"^BREAKING[ -]CHANGE:\s*(.+)", body, re.MULTILINE)
    kind = found["kind"].lower() if found else ""
    if found and (kind in _KINDS or kind in _INTERNAL):
        text = found["text"].strip()
        line = (f"**{_escape(found['scope'])}**: " if found["scope"] else "") + _escape(_sentence(text))
        group = _KINDS.get(kind, "Housekeeping")
        if found["breaking"] or breaking:
            group = "Breaking changes"
    else:
        line = _escape(_sentence(subject))
        group = next((name for pattern, name in _WORDING if pattern.search(subject.strip())), "Changed")
        group = "Breaking changes" if breaking else group
    if breaking:
        line += f": {_escape(breaking[1].strip())}"
    return group, line


def _sentence(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text[:1].upper() + text[1:]


def _escape(text: str) -> str:
    return re.sub(r"([*_<>\[\]`])", r"\\\1", text)


def _span(commits: list[dict[str, object]]) -> str:
    """The days of the first and the last commit, so that the notes say what they cover."""
    days = sorted(str(commit["date"])[:10] for commit in commits if commit.get("date"))
    if not days:
        return ""
    return f" ({days[0]})" if days[0] == days[-1] else f" ({days[0]} to {days[-1]})"


if __name__ == "__main__":
    player.serve()
