"""Configuration: what is read, what wins, and what is refused by name."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.config import ConfigError, MeshConfig, Settings, load_settings


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Example:
    name: str
    count: int = 2
    ratio: float = 0.5
    enabled: bool = False
    folder: Path = Path()
    hosts: tuple[str, ...] = ()
    limit: int | None = None
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


def read(values: dict[str, object], environment: dict[str, str] | None = None) -> Example:
    return Settings({"gateway": values}, environment or {}, Path("/etc")).section(
        "gateway", Example
    )


def test_defaults_stand_where_nothing_is_said() -> None:
    assert read({"name": "a"}) == Example(name="a")


def test_values_become_the_types_of_their_fields() -> None:
    example = read(
        {
            "name": "a",
            "ratio": 1,
            "folder": "models",
            "hosts": ["a", "b"],
            "limit": 3,
            "inner": {"depth": 4},
        }
    )
    assert example == Example(
        name="a", ratio=1.0, folder=Path("/etc/models"), hosts=("a", "b"), limit=3, inner=Inner(4)
    )


def test_the_environment_wins_over_the_file() -> None:
    environment = {
        "FORMWORK_GATEWAY_COUNT": "7",
        "FORMWORK_GATEWAY_ENABLED": "true",
        "FORMWORK_GATEWAY_HOSTS": "x,y",
        "FORMWORK_GATEWAY_RATIO": "0.25",
    }
    example = read({"name": "a", "count": 1}, environment)
    assert (example.count, example.enabled, example.hosts, example.ratio) == (
        7,
        True,
        ("x", "y"),
        0.25,
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"name": "a", "nmae": "b"}, "gateway.nmae"),
        ({}, "gateway.name"),
        ({"name": 1}, "gateway.name"),
        ({"name": "a", "count": "many"}, "gateway.count"),
        ({"name": "a", "count": True}, "gateway.count"),
        ({"name": "a", "enabled": "maybe"}, "gateway.enabled"),
        ({"name": "a", "hosts": 3}, "gateway.hosts"),
        ({"name": "a", "inner": {"deepth": 1}}, "gateway.inner.deepth"),
        ({"name": "a", "count": -1}, "gateway"),
    ],
)
def test_what_is_wrong_is_refused_by_name(values: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read(values)


def test_an_unknown_section_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"\[gatway\]"):
        Settings({"gatway": {}}, {}, Path())


def test_an_unset_variable_or_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FORMWORK_CONFIG"):
        load_settings({})
    broken = tmp_path / "formwork.toml"
    broken.write_text("[mesh")
    with pytest.raises(ConfigError, match=r"formwork\.toml"):
        load_settings({"FORMWORK_CONFIG": str(broken)})


def test_a_secret_that_is_missing_or_short_is_named(tmp_path: Path) -> None:
    short = tmp_path / "token"
    short.write_text("secret")
    with pytest.raises(ConfigError, match="at least 32"):
        MeshConfig(token_file=short).read_token()
    with pytest.raises(ConfigError, match=r"mesh\.token_file"):
        MeshConfig(token_file=tmp_path / "none").read_token()
    with pytest.raises(ConfigError, match=r"mesh\.lease_key_file"):
        MeshConfig(token_file=short).read_lease_key()
