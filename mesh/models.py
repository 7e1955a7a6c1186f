"""The model table that every service reads: `[models.<snapshot>]` and `[aliases]`."""

from collections.abc import Mapping
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
    refusal_phrases: bool = False
    """It has none and refuses in words: what begins like its family's refusals is one."""
    determinism: str = "best effort"
    """`seeded` where the same seed gives the same bytes."""
    created: int = 0
    """Seconds since 1970, as `GET /v1/models` shows it."""
    owned_by: str = "formwork"


class ModelTable:
    """Snapshots by name, and the aliases that move.

    Args:
        entries: By snapshot name.
        aliases: The snapshots of an alias: the first serves, the next where it has no worker.

    Raises:
        ConfigError: An alias of an unknown snapshot, or one that is a snapshot's name.
    """

    def __init__(
        self,
        entries: dict[Snapshot, ModelEntry],
        aliases: Mapping[str, tuple[Snapshot, ...]],
    ) -> None:
        for alias, snapshots in aliases.items():
            _check_alias(alias, snapshots, entries)
        self.entries = entries
        self.aliases = aliases

    def resolve(self, name: str) -> Snapshot:
        """Return the snapshot that a snapshot's name stands for, or the first one of an alias."""
        return self.candidates(name)[0]

    def candidates(self, name: str) -> tuple[Snapshot, ...]:
        """Return the snapshots that may answer for a name, in the order to try them."""
        snapshots = self.aliases.get(name, (Snapshot(name),))
        if snapshots[0] not in self.entries:
            raise ModelUnknownError(
                f"The model '{name}' does not exist or you do not have access to it.",
                metadata={"model": name},
                field="model",
            )
        return snapshots

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
    aliases = {
        alias: _read_alias(alias, value) for alias, value in settings.table("aliases").items()
    }
    return ModelTable(entries, aliases)


def _read_alias(alias: str, value: object) -> tuple[Snapshot, ...]:
    """Return the snapshots of an alias, which is one name or a list of them."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"aliases.{alias} must be the name of a snapshot, or a list of names")
    return tuple(Snapshot(name) for name in names)


def _check_alias(
    alias: str, snapshots: tuple[Snapshot, ...], entries: Mapping[Snapshot, ModelEntry]
) -> None:
    if not snapshots:
        raise ConfigError(f"aliases.{alias}: names no snapshot")
    if len(set(snapshots)) < len(snapshots):
        raise ConfigError(f"aliases.{alias}: names a snapshot twice")
    if alias in entries:
        raise ConfigError(f"aliases.{alias}: is the name of a snapshot")
    for snapshot in snapshots:
        if snapshot not in entries:
            raise ConfigError(f"aliases.{alias}: no [models.{snapshot}]")
