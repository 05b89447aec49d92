"""Tags and notes that a person gives a run: no part of its identity.

One mapping holds both: the notes stand under `NOTES`, a name that no tag may have.
"""

from collections.abc import Iterator, Mapping
from typing import Any

NOTES = "seqexp.notes"
"""Tag of a run: the notes as they were given."""

REGISTERED = "seqexp.registered"
"""Tag of a run: the registered model that its model is a version of."""

PAGE = "mlflow.note.content"
"""Tag whose text MLflow shows at the top of a run's page: the notes, then our description."""


def labels_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The tags and the notes of a checked config."""
    found = dict(leaves(config.get("tags") or {}))
    notes = config.get("notes")
    return found if notes is None else {**found, NOTES: str(notes)}


def labels_after(config: Mapping[str, Any]) -> dict[str, str]:
    """The same, and the name that its model is registered by when it has finished."""
    name = config["tracking"].get("register")
    return {**labels_of(config), **({} if name is None else {REGISTERED: str(name)})}


def leaves(tags: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of tags; those below a name, as `tags.team.name=x`, have a dot."""
    for key, value in tags.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def in_words(labels: Mapping[str, str]) -> str:
    """Their names: `notes, tags owner and team`; empty where there are none."""
    tags = [key for key in labels if key not in (NOTES, REGISTERED)]
    parts = ["notes"] * (NOTES in labels)
    if tags:
        parts.append(f"{'tags' if len(tags) > 1 else 'tag'} {' and '.join(tags)}")
    return ", ".join(parts)


def page(labels: Mapping[str, str], description: str) -> str:
    """The text of a run's page."""
    return "\n\n".join(text for text in (labels.get(NOTES, ""), description) if text)


def changes(tags: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """The tags of a run that labels change; its description stays below other notes."""
    changed = {key: value for key, value in labels.items() if tags.get(key) != value}
    if NOTES in changed:
        rest = tags.get(PAGE, "").removeprefix(tags.get(NOTES, "")).lstrip("\n")
        changed[PAGE] = page(labels, rest)
    return changed
