"""The model table that every service reads: `[models.<snapshot>]` and `[aliases]`."""

from dataclasses import dataclass
from pathlib import Path

from mesh.config import ConfigError, Settings, build
from mesh.errors import ModelUnknownError, TokenizerUnknownError
from mesh.ids import Fingerprint, Snapshot


@dataclass(frozen=True)
class ModelEntry:
    """One pinned snapshot.

    `folder` is a Hugging Face model folder; `tokenizer_fingerprint` the engine's Vocabulary
    fingerprint (SHA-256, hexadecimal); prices are per million tokens, in the operator's unit.
    """

    folder: Path
    tokenizer_fingerprint: str
    family: str = "formwork"
    """Chat family: how messages and schemas are written into the prompt."""
    context: int = 4096
    """Most tokens of prompt and completion together."""
    device: str = "auto"
    """`auto`, `cpu` or `cuda`."""
    dtype: str = "float32"
    workers: int = 1
    prompt_price: float = 0.0
    cached_prompt_price: float = 0.0
    completion_price: float = 0.0
    structured: bool = True
    tools: bool = False
    refusal: bool = False
    """The model has a refusal token."""
    determinism: str = "best effort"
    """`seeded` where the same seed gives the same bytes."""
    created: int = 0
    """Seconds since 1970, as `GET /v1/models` shows it."""
    owned_by: str = "formwork"


class ModelTable:
    """Snapshots by name, and the aliases that move.

    Args:
        entries: By snapshot name.
        aliases: Snapshot by alias.

    Raises:
        ConfigError: An alias of an unknown snapshot, or one that is a snapshot's name.
    """

    def __init__(self, entries: dict[Snapshot, ModelEntry], aliases: dict[str, Snapshot]) -> None:
        for alias, snapshot in aliases.items():
            if snapshot not in entries:
                raise ConfigError(f"aliases.{alias}: no [models.{snapshot}]")
            if alias in entries:
                raise ConfigError(f"aliases.{alias}: is the name of a snapshot")
        self.entries = entries
        self.aliases = aliases

    def resolve(self, name: str) -> Snapshot:
        """Return the snapshot that a snapshot's name or an alias stands for."""
        snapshot = self.aliases.get(name, Snapshot(name))
        if snapshot not in self.entries:
            raise ModelUnknownError(
                f"The model '{name}' does not exist or you do not have access to it.",
                metadata={"model": name},
                field="model",
            )
        return snapshot

    def with_fingerprint(self, fingerprint: str) -> ModelEntry:
        """Return a model that has this tokenizer."""
        for entry in self.entries.values():
            if entry.tokenizer_fingerprint == fingerprint:
                return entry
        raise TokenizerUnknownError(
            f"No model has a tokenizer with the fingerprint {fingerprint}.",
            metadata={"tokenizer_fingerprint": fingerprint},
        )

    def fingerprint(self, snapshot: Snapshot) -> Fingerprint:
        """Return the tokenizer fingerprint of a snapshot."""
        return Fingerprint(self.entries[snapshot].tokenizer_fingerprint)


def load_models(settings: Settings) -> ModelTable:
    """Read the model table.

    Raises:
        ConfigError: Malformed, by name.
    """
    entries: dict[Snapshot, ModelEntry] = {}
    for name, values in settings.table("models").items():
        if not isinstance(values, dict):
            raise ConfigError(f"models.{name} must be a table")
        entries[Snapshot(name)] = build(
            ModelEntry, values, where=f"models.{name}", folder=settings.folder
        )
    aliases: dict[str, Snapshot] = {}
    for alias, snapshot in settings.table("aliases").items():
        if not isinstance(snapshot, str):
            raise ConfigError(f"aliases.{alias} must be text")
        aliases[alias] = Snapshot(snapshot)
    return ModelTable(entries, aliases)
