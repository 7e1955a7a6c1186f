"""What a Hugging Face model folder says about its model, besides the weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formwork_engine.errors import VocabularyError
from formwork_engine.vocabulary import Vocabulary, load_vocabulary

_LARGEST_JSON = 16 * 1024 * 1024


class ModelFolderError(Exception):
    """A model folder that cannot be served; the message names the file and what it lacks."""


@dataclass(frozen=True)
class ModelFolder:
    """One folder, read.

    `refusal_id` is the family's refusal token, from the model's card; None where it has none.
    """

    path: Path
    config: dict[str, Any]
    vocabulary: Vocabulary
    refusal_id: int | None

    @property
    def architecture(self) -> str:
        """The class that the configuration names, for example `LlamaForCausalLM`."""
        names = self.config.get("architectures") or [""]
        return str(names[0])


def read_model_folder(path: Path) -> ModelFolder:
    """Read configuration, tokenizer and card.

    Raises:
        ModelFolderError: A file that is missing, malformed, or that contradicts another.
    """
    config = read_object(path / "config.json")
    try:
        vocabulary = load_vocabulary(path)
    except VocabularyError as error:
        raise ModelFolderError(f"{path}: {error}") from error
    card = read_object(path / "card.json") if (path / "card.json").exists() else {}
    return ModelFolder(path, config, vocabulary, _refusal_id(path, card, vocabulary))


def _refusal_id(path: Path, card: dict[str, Any], vocabulary: Vocabulary) -> int | None:
    tokens = card.get("tokens")
    described = tokens.get("refusal") if isinstance(tokens, dict) else None
    if described is None:
        return None
    token_id = described.get("id") if isinstance(described, dict) else None
    if not isinstance(token_id, int) or token_id not in vocabulary.special_ids:
        raise ModelFolderError(f"{path / 'card.json'}: tokens.refusal.id is no special token")
    return token_id


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ModelFolderError: Unreadable, too large, or not an object.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ModelFolderError(f"{path} is larger than {_LARGEST_JSON} bytes")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise ModelFolderError(f"{path} is not a JSON object")
    return value
