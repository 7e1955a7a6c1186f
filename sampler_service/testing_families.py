"""Chat families as real folders have them: control tokens, end tokens, templates, for tests.

The templates are written here, in the form that each family's models were trained on.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import normalizers

from sampler_service.testing_models import make_model_folder, make_tokenizer

_QWEN = """\
{%- if tools -%}
{{ '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' -%}{{ messages[0].content + '\\n\\n' }}{%- endif -%}
{{ '<tools>' }}{%- for tool in tools -%}{{ '\\n' }}{{ tool | tojson }}{%- endfor -%}
{{ '\\n</tools>\\nTo call one: <tool_call>\\n{"name": ..., "arguments": ...}\\n</tool_call>' }}
{{- '<|im_end|>\\n' -}}
{%- elif messages[0].role == 'system' -%}
{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif -%}
{%- set ns = namespace(last=-1) -%}
{%- for m in messages if m.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endfor -%}
{%- set ns.asked = -1 -%}
{%- for m in messages -%}
{%- if m.role == 'user' -%}
{%- set ns.asked = ns.asked + 1 -%}
{{ '<|im_start|>user\\n' + m.content + '<|im_end|>\\n' }}
{%- elif m.role == 'assistant' -%}
{{ '<|im_start|>assistant\\n' }}
{%- if m.reasoning_content and ns.asked == ns.last -%}
{{ '<think>\\n' + m.reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
{%- endif -%}
{{ m.content }}
{%- for call in m.tool_calls or [] -%}
{{ '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{ '}\\n</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\\n' }}
{%- elif m.role == 'tool' -%}
{{ '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}
{%- endif -%}
{%- endfor -%}
{{ '<|im_start|>assistant\\n' }}
"""

_LLAMA3 = """\
{{ bos_token }}
{%- set is_told = messages[0].role == 'system' -%}
{%- if tools or is_told -%}
{{ '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if is_told -%}{{ messages[0].content }}{%- endif -%}
{%- for tool in tools or [] -%}{{ '\\n\\n' }}{{ tool | tojson }}{%- endfor -%}
{%- if tools -%}{{ '\\n\\nCall one by {"name": ..., "parameters": ...}.' }}{%- endif -%}
{{ '<|eot_id|>' }}
{%- endif -%}
{%- for m in messages if m.role != 'system' -%}
{{ '<|start_header_id|>' + ('ipython' if m.role == 'tool' else m.role) }}
{{- '<|end_header_id|>\\n\\n' }}
{%- if m.tool_calls -%}
{%- if m.tool_calls | length > 1 -%}{{ raise_exception('one call at a time') }}{%- endif -%}
{%- set function = m.tool_calls[0].function -%}
{{ '{"name": "' + function.name + '", "parameters": ' }}{{ function.arguments | tojson }}{{ '}' }}
{%- else -%}{{ m.content }}{%- endif -%}
{{ '<|eot_id|>' }}
{%- endfor -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
"""

_MISTRAL_START = """\
{{ bos_token }}
{%- for tool in tools or [] -%}
{{ '[AVAILABLE_TOOLS][' if loop.first else ', ' }}{{ tool | tojson }}
{{- ']' + '[/AVAILABLE_TOOLS]' if loop.last else '' }}
{%- endfor -%}
{%- for m in messages -%}
{%- for call in m.tool_calls or [] if call.id | length != 9 -%}
{{ raise_exception('ids of calls have nine letters') }}
{%- endfor -%}
"""
_MISTRAL = (
    _MISTRAL_START
    + """\
{%- if m.role == 'user' -%}{{ '[INST] ' + m.content + '[/INST]' }}
{%- elif m.role == 'system' -%}{{ raise_exception('no system messages') }}
{%- elif m.role == 'tool' -%}
{{ '[TOOL_RESULTS]{"content": "' + m.content + '", "call_id": "' + m.tool_call_id }}
{{- '"}[/TOOL_RESULTS]' }}
{%- elif m.tool_calls -%}
{{ m.content or '' }}{{ '[TOOL_CALLS][' }}
{%- for call in m.tool_calls -%}
{{ '{"name": "' + call.function.name + '", "arguments": ' }}{{ call.function.arguments | tojson }}
{{- ', "id": "' + call.id + '"}' }}{{ ']' if loop.last else ', ' }}
{%- endfor -%}
{{ eos_token }}
{%- else -%}{{ m.content + eos_token }}{%- endif -%}
{%- endfor -%}
"""
)
_MISTRAL_ARGS = (
    _MISTRAL_START
    + """\
{%- if m.role == 'user' -%}{{ '[INST]' + m.content + '[/INST]' }}
{%- elif m.role == 'system' -%}{{ '[SYSTEM_PROMPT]' + m.content + '[/SYSTEM_PROMPT]' }}
{%- elif m.role == 'tool' -%}{{ '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}
{%- else -%}
{%- if m.reasoning_content -%}{{ '[THINK]' + m.reasoning_content + '[/THINK]' }}{%- endif -%}
{{ m.content or '' }}
{%- for call in m.tool_calls or [] -%}
{{ '[TOOL_CALLS]' + call.function.name + '[ARGS]' }}{{ call.function.arguments | tojson }}
{%- endfor -%}
{{ eos_token }}
{%- endif -%}
{%- endfor -%}
"""
)

_HARMONY = """\
{{ '<|start|>system<|message|>Channels: analysis, commentary, final.<|end|>' }}
{%- for tool in tools or [] -%}
{{ '<|start|>developer<|message|>functions: ' if loop.first else '; ' }}{{ tool | tojson }}
{{- '<|end|>' if loop.last else '' }}
{%- endfor -%}
{%- set ns = namespace(called='') -%}
{%- for m in messages -%}
{%- if m.role == 'tool' -%}
{{ '<|start|>functions.' + ns.called + ' to=assistant<|channel|>commentary<|message|>' }}
{{- m.content | tojson }}{{ '<|end|>' }}
{%- elif m.role == 'assistant' and m.tool_calls -%}
{%- if m.thinking -%}
{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}
{%- endif -%}
{%- set ns.called = m.tool_calls[0].function.name -%}
{{ '<|start|>assistant to=functions.' + ns.called + '<|channel|>commentary json<|message|>' }}
{{- m.tool_calls[0].function.arguments | tojson }}{{ '<|call|>' }}
{%- elif m.role == 'assistant' -%}
{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}
{%- else -%}
{{ '<|start|>' + ('developer' if m.role == 'system' else m.role) + '<|message|>' }}
{{- m.content + '<|end|>' }}
{%- endif -%}
{%- endfor -%}
{{ '<|start|>assistant' }}
"""


@dataclass(frozen=True)
class ChatFamily:
    """What tells one family's folders from another's, weights apart.

    `added` are tokens that stand for their own text, `ends` those that end an answer.
    """

    architecture: str
    special: tuple[str, ...]
    ends: tuple[str, ...]
    template: str
    added: tuple[str, ...] = ()
    begin: str = ""
    normalizer: normalizers.Normalizer | None = None


_MISTRAL_TOKENS = (
    *("<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]"),
)
CHAT_FAMILIES = {
    "qwen": ChatFamily(
        "qwen3",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        ("<|im_end|>", "<|endoftext|>"),
        _QWEN,
        added=(
            *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
            *("<think>", "</think>"),
        ),
        normalizer=normalizers.NFC(),
    ),
    "llama3": ChatFamily(
        "llama31",
        (
            *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
            *("<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
        ),
        ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        _LLAMA3,
        begin="<|begin_of_text|>",
    ),
    "mistral": ChatFamily("mistral", _MISTRAL_TOKENS, ("</s>",), _MISTRAL, begin="<s>"),
    "mistral_args": ChatFamily(
        "mistral",
        (*_MISTRAL_TOKENS, "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[ARGS]", "[THINK]", "[/THINK]"),
        ("</s>",),
        _MISTRAL_ARGS,
        begin="<s>",
    ),
    "harmony": ChatFamily(
        "qwen2",
        (
            *("<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>"),
            *("<|start|>", "<|end|>", "<|message|>", "<|call|>"),
        ),
        ("<|return|>", "<|endoftext|>", "<|call|>"),
        _HARMONY,
    ),
}


def make_family_folder(folder: Path, family: ChatFamily, *, seed: int = 0) -> dict[str, int]:
    """Write a model of a family with random weights; return the ids of its added tokens."""
    tokenizer = make_tokenizer(family.special, family.added, family.normalizer)
    vocabulary = {"vocab_size": tokenizer.get_vocab_size() + 3}
    make_model_folder(folder, family.architecture, seed=seed, changes=vocabulary)
    (folder / "card.json").unlink()  # whose refusal token these have not
    tokenizer.save(str(folder / "tokenizer.json"))
    ends = [tokenizer.token_to_id(text) for text in family.ends]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    (folder / "chat_template.jinja").write_text(family.template, encoding="utf-8")
    names = {"bos_token": family.begin or None, "eos_token": family.ends[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    ids = tokenizer.get_vocab(with_added_tokens=True)
    return {text: ids[text] for text in (*family.special, *family.added)}


def make_it_say(folder: Path, token_id: int) -> None:
    """Change a model with untied weights so that one token is always by far the likeliest."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.embed_tokens.weight"][:, 0] = 40.0
    tensors["lm_head.weight"][:, 0] = 0.0
    tensors["lm_head.weight"][token_id, 0] = 5.0
    save_file(tensors, path)
