"""Configuration: read once, from one TOML file and the environment, into frozen dataclasses.

The file is named by FORMWORK_CONFIG. Its sections are `mesh`, one per service, `models` and
`aliases`; a service reads its own section into its own dataclass. `FORMWORK_<SECTION>_<KEY>` in the
environment wins over the file. A section or a key that nobody knows is refused by name.
"""

import dataclasses
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

SECTIONS = frozenset(
    {"mesh", "gateway", "compiler", "scheduler", "sampler", "infra", "models", "aliases"}
)
CONFIG_VARIABLE = "FORMWORK_CONFIG"

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration is wrong; the message names the key and says what it wants."""


@dataclass(frozen=True)
class MeshConfig:
    """Section `mesh`: what every process needs to find and trust the others."""

    token_file: Path
    """Holds the mesh token; readable by its owner only."""
    lease_key_file: Path | None = None
    """Signs leases; given to the scheduler and the workers only."""
    compiler_address: str = "127.0.0.1:7101"
    scheduler_address: str = "127.0.0.1:7102"
    log_format: str = "json"
    log_level: str = "info"
    reflection: bool = False
    """Serve gRPC reflection: for development."""
    drain_seconds: float = 20.0
    """How long SIGTERM waits for work in flight."""
    max_message_bytes: int = 8 * 1024 * 1024

    def read_token(self) -> str:
        """Return the mesh token."""
        return _read_secret("mesh.token_file", self.token_file)

    def read_lease_key(self) -> bytes:
        """Return the key that signs leases."""
        if self.lease_key_file is None:
            raise ConfigError("mesh.lease_key_file is required here")
        return _read_secret("mesh.lease_key_file", self.lease_key_file).encode("ascii")


def _read_secret(where: str, path: Path) -> str:
    try:
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot read {path}: {error}") from error
    if len(secret) < 32:  # noqa: PLR2004 - 128 bits in hexadecimal
        raise ConfigError(f"{where}: a secret has at least 32 characters")
    return secret


class Settings:
    """One parsed configuration file with the environment laid over it.

    Args:
        document: Sections by name, as TOML gives them.
        environment: Process environment.
        folder: What relative paths are relative to.
    """

    def __init__(
        self, document: Mapping[str, Any], environment: Mapping[str, str], folder: Path
    ) -> None:
        unknown = sorted(set(document) - SECTIONS)
        if unknown:
            raise ConfigError(
                f"unknown section [{unknown[0]}]; known: {', '.join(sorted(SECTIONS))}"
            )
        self._document = document
        self._environment = environment
        self.folder = folder

    def section(self, name: str, kind: type[T]) -> T:
        """Return section `name` as the frozen dataclass `kind`.

        Raises:
            ConfigError: An unknown, missing or malformed key, by name.
        """
        values = dict(self.table(name))
        prefix = f"FORMWORK_{name.upper()}_"
        for key, text in self._environment.items():
            if key.startswith(prefix):
                values[key.removeprefix(prefix).lower()] = text
        return build(kind, values, where=name, folder=self.folder)

    def table(self, name: str) -> Mapping[str, Any]:
        """Return section `name` as it stands in the file; empty when absent."""
        table = self._document.get(name, {})
        if not isinstance(table, Mapping):
            raise ConfigError(f"[{name}] must be a table")
        return table


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the file that FORMWORK_CONFIG names.

    Raises:
        ConfigError: The variable is unset, or the file unreadable or malformed.
    """
    environment = os.environ if environment is None else environment
    name = environment.get(CONFIG_VARIABLE)
    if not name:
        raise ConfigError(f"{CONFIG_VARIABLE} is not set: it names the configuration file")
    path = Path(name)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return Settings(document, environment, path.resolve().parent)


def build(kind: type[T], values: Mapping[str, Any], *, where: str, folder: Path) -> T:
    """Return the dataclass `kind` made of `values`, each converted to its field's type.

    Args:
        kind: A dataclass.
        values: Values by field name; text is parsed as the field's type.
        where: Name of the section, for messages.
        folder: What relative paths are relative to.

    Raises:
        ConfigError: An unknown, missing or malformed key, by name.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # T is a dataclass
    for key in values:
        if key not in fields:
            raise ConfigError(f"unknown key {where}.{key}; known: {', '.join(sorted(fields))}")
    arguments = {
        key: _convert(value, hints[key], f"{where}.{key}", folder) for key, value in values.items()
    }
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in arguments:
            raise ConfigError(f"{where}.{name} is required")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _convert(value: Any, hint: Any, where: str, folder: Path) -> Any:  # noqa: ANN401 - TOML values
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        hint = next(argument for argument in arguments if argument is not type(None))
        return _convert(value, hint, where, folder)
    if origin in (tuple, frozenset):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ConfigError(f"{where} must be a list")
        return origin(_convert(item, arguments[0], where, folder) for item in items)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a table")
        return build(hint, value, where=where, folder=folder)
    return _convert_scalar(value, hint, where, folder)


def _convert_scalar(value: Any, hint: Any, where: str, folder: Path) -> Any:  # noqa: ANN401 - TOML values
    if hint is Path and isinstance(value, str):
        return folder / value
    if hint is bool and isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if hint in (int, float) and isinstance(value, str):
        try:
            return hint(value)
        except ValueError as error:
            raise ConfigError(f"{where} must be {hint.__name__}, not {value!r}") from error
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where} must be {hint.__name__}, not {value!r}")
