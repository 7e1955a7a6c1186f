"""The schemas of JSON Schema itself, which any schema may refer to: the engine knows them.

Drafts 4, 6 and 7, 2019-09 and 2020-12 with their vocabularies, without annotations. They are read
here by whoever checks answers by other means and has to know the same ones.
"""

import json
from importlib import resources
from typing import Any


def read_metaschemas() -> list[tuple[str, dict[str, Any]]]:
    """Return each by its URI, without a fragment."""
    folder = resources.files("formwork_engine") / "drafts"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    documents = [document for file in files for document in json.loads(file.read_text())]
    return [(_uri_of(document), document) for document in documents]


def _uri_of(document: dict[str, Any]) -> str:
    uri: str = document.get("$id") or document["id"]
    return uri.removesuffix("#")
