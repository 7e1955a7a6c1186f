"""The prompt writers of a model table, loaded once, and the threads that they run in."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import TemplateError

from gateway.chat_formats import ChatFormat
from gateway.config import GatewayConfig
from gateway.fair_threads import FairThreads
from gateway.families import PLAIN_TEMPLATE, family_of, format_of
from gateway.prompt import PromptWriter
from gateway.request import ChatRequest
from gateway.template import ChatTemplate
from gateway.tokenizer import PromptTokenizer, load_tokenizer
from mesh.clock import Clock
from mesh.config import ConfigError
from mesh.ids import ProjectId, Snapshot
from mesh.models import ModelEntry, ModelTable

_TOKEN_NAMES = ("bos_token", "eos_token", "pad_token", "unk_token")

T = TypeVar("T")


class PromptWriters:
    """Writes prompts for every snapshot of a model table, off the event loop.

    Args:
        writers: By snapshot.
        config: How many threads there are, and who may wait for one.
    """

    def __init__(self, writers: Mapping[Snapshot, PromptWriter], config: GatewayConfig) -> None:
        self._writers = writers
        self._threads = FairThreads(config)

    def of(self, snapshot: Snapshot) -> PromptWriter:
        """Return the writer of a snapshot of the table."""
        return self._writers[snapshot]

    async def write(
        self, snapshot: Snapshot, request: ChatRequest, context: int, project_id: ProjectId
    ) -> list[int]:
        """Return the prompt's token ids; raises as `PromptWriter.write` and `in_thread` do."""
        writer = self._writers[snapshot]
        return await self.in_thread(project_id, lambda: writer.write(request, context))

    async def in_thread(self, project_id: ProjectId, work: Callable[[], T]) -> T:
        """Return the result of work that would hold up the event loop.

        Raises:
            ProjectBusyError, OverloadedError: Too much waits, of this project or at all.
        """
        return await self._threads.run(project_id, work)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()


def load_prompt_writers(models: ModelTable, config: GatewayConfig, clock: Clock) -> PromptWriters:
    """Return the writers of every model of the table.

    Raises:
        ConfigError: A folder without a tokenizer, with a malformed template, or with an end token
            that its chat format has inside answers.
    """
    writers = {
        snapshot: _load_writer(snapshot, entry, config, clock)
        for snapshot, entry in models.entries.items()
    }
    return PromptWriters(writers, config)


def _load_writer(
    snapshot: Snapshot, entry: ModelEntry, config: GatewayConfig, clock: Clock
) -> PromptWriter:
    tokenizer = load_tokenizer(entry.folder)
    source = find_template(entry.folder) or PLAIN_TEMPLATE
    try:
        template = ChatTemplate(
            source,
            _special_tokens(entry.folder),
            clock,
            max_characters=config.max_prompt_characters,
            max_seconds=config.render_seconds,
        )
    except TemplateError as error:
        raise ConfigError(f"{entry.folder}: chat template: {error}") from error
    family = family_of(entry.family)
    form = format_of(family, source)
    _check_ends(entry.folder, form, tokenizer)
    return PromptWriter(snapshot, family, form, template, tokenizer)


def _check_ends(folder: Path, form: ChatFormat, tokenizer: PromptTokenizer) -> None:
    """Refuse a folder in which answers would end where their format goes on."""
    ends = _end_ids(folder)
    for token, token_id in tokenizer.control_tokens.items():
        if token_id in ends and form.goes_on_behind(token):
            raise ConfigError(
                f"{folder}: '{token}' is named as an end token, but stands inside the answers of "
                "the model's chat format: take it out of eos_token_id"
            )


def _end_ids(folder: Path) -> list[object]:
    for name in ("generation_config.json", "config.json"):
        ids = _read_json(folder / name).get("eos_token_id")
        if ids is not None:
            return ids if isinstance(ids, list) else [ids]
    return []


def find_template(folder: Path) -> str | None:
    """Return a model folder's chat template: its own file, or the one in tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8")
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _special_tokens(folder: Path) -> dict[str, str]:
    """Return the variables that templates expect; a token may be given with its attributes."""
    config = _read_json(folder / "tokenizer_config.json")
    tokens: dict[str, str] = {}
    for name in _TOKEN_NAMES:
        token = config.get(name)
        tokens[name] = str(token["content"] if isinstance(token, dict) else token or "")
    return tokens


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return value if isinstance(value, dict) else {}
