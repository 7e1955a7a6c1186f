"""`GET /v1/models`: snapshots and the aliases that stand for them."""

from typing import Any

from mesh.models import ModelTable


def list_models(models: ModelTable) -> dict[str, Any]:
    """Return the list object: every snapshot, then every alias."""
    names = [*models.entries, *models.aliases]
    return {"object": "list", "data": [describe_model(models, name) for name in names]}


def describe_model(models: ModelTable, name: str) -> dict[str, Any]:
    """Return the model object of a snapshot or an alias.

    The member `formwork` is an extension: the snapshot behind a name and what it can do, and those
    that answer in its place where it has no worker.

    Raises:
        ModelUnknownError: There is none.
    """
    snapshot, *fallbacks = models.candidates(name)
    entry = models.entries[snapshot]
    return {
        "id": name,
        "object": "model",
        "created": entry.created,
        "owned_by": entry.owned_by,
        "formwork": {
            "snapshot": snapshot,
            "fallbacks": fallbacks,
            "context": entry.context,
            "structured": entry.structured,
            "tools": entry.tools,
            "refusal": entry.refusal,
            "determinism": entry.determinism,
        },
    }
