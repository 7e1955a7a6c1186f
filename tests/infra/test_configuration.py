import tomllib
from pathlib import Path

import pytest

from infra.configuration import (
    BUILT_IN_MODEL,
    MeshPorts,
    ensure_secrets,
    to_toml,
    write_configuration,
)
from infra.errors import SetupError
from infra.home import Home, ensure_home
from mesh.config import MeshConfig, Settings, load_settings
from mesh.models import load_models

PORTS = MeshPorts(http=8080, compiler=20_001, scheduler=20_002)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    ensure_home(home)
    ensure_secrets(home)
    return home


def settings_of(path: Path) -> Settings:
    return load_settings({"FORMWORK_CONFIG": str(path)})


def test_the_services_read_what_is_generated(home: Home) -> None:
    path, _ = write_configuration(home, PORTS)
    settings = settings_of(path)
    mesh = settings.section("mesh", MeshConfig)
    assert mesh.compiler_address == "127.0.0.1:20001"
    assert len(mesh.read_token()) >= 32
    assert mesh.read_token().encode() != mesh.read_lease_key()
    models = load_models(settings)
    entry = models.entries[models.resolve("formwork-mini")]
    assert (entry.refusal, entry.context, len(entry.tokenizer_fingerprint)) == (True, 4096, 64)


def test_the_operators_file_is_laid_over_it(home: Home) -> None:
    (home.folder / "formwork.toml").write_text(
        f'[mesh]\nlog_level = "debug"\n[models."{BUILT_IN_MODEL}"]\nworkers = 2\n'
    )
    path, document = write_configuration(home, PORTS)
    assert settings_of(path).section("mesh", MeshConfig).log_level == "debug"
    assert document["models"][BUILT_IN_MODEL]["workers"] == 2
    assert document["models"][BUILT_IN_MODEL]["refusal"] is True


def test_a_malformed_file_of_the_operator_is_named(home: Home) -> None:
    (home.folder / "formwork.toml").write_text("[mesh\n")
    with pytest.raises(SetupError, match=r"formwork\.toml: "):
        write_configuration(home, PORTS)


def test_a_model_folder_without_weights_is_named(home: Home) -> None:
    (home.folder / "formwork.toml").write_text('[models.mine]\nfolder = "nowhere"\n')
    with pytest.raises(SetupError, match=r"models\.mine: .*nowhere lacks"):
        write_configuration(home, PORTS)


def test_a_tokenizer_that_the_engine_cannot_read_is_named(home: Home) -> None:
    folder = home.folder / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    (home.folder / "formwork.toml").write_text('[models.mine]\nfolder = "model"\n')
    with pytest.raises(SetupError, match=r"models\.mine: cannot read the tokenizer in"):
        write_configuration(home, PORTS)


def test_toml_is_written_as_toml_reads_it() -> None:
    document = {
        "a": {"text": 'quo"te\n\u00e9', "number": 1.5, "flag": True, "list": ["x", 2]},
        "models": {"a.b": {"folder": "/x", "nested": {"deep": 1}}, "empty": {}},
    }
    assert tomllib.loads(to_toml(document)) == document
