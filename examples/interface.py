"""Draws a form: a tree of widgets, of any depth, rendered to HTML."""

from __future__ import annotations

from html import escape
from typing import Annotated, Literal

import openai
from pydantic import BaseModel, Field

from examples.settings import MODEL

WISH = "A form to sign in: name, password and a button."
Text = Annotated[str, Field(pattern=r"^[A-Z][a-z ]{2,20}$")]
TAGS = {"section": "section", "header": "h2", "field": "label", "button": "button", "text": "p"}


class Widget(BaseModel):
    """A widget and what it contains."""

    kind: Literal["section", "header", "field", "button", "text"]
    label: Text
    children: list[Widget] = Field(max_length=3)


class Page(BaseModel):
    """The root: a recursive schema has one that is an object."""

    title: Text
    widgets: list[Widget] = Field(min_length=1, max_length=4)


def draw(client: openai.OpenAI, wish: str) -> Page | None:
    """Return a page; None if the model refused."""
    completion = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": wish}],
        response_format=Page,
        temperature=0.8,
        seed=1,
    )
    return completion.choices[0].message.parsed


def render(page: Page) -> str:
    """Return the page as HTML. Every kind has a tag: the schema has no others."""
    widgets = "\n".join(_render(widget, 1) for widget in page.widgets)
    return f"<main>\n  <h1>{escape(page.title)}</h1>\n{widgets}\n</main>"


def _render(widget: Widget, depth: int) -> str:
    tag, indent = TAGS[widget.kind], "  " * depth
    lines = [f"{indent}<{tag}>{escape(widget.label)}"]
    lines += [_render(child, depth + 1) for child in widget.children]
    return "\n".join([*lines, f"{indent}</{tag}>"])


if __name__ == "__main__":
    page = draw(openai.OpenAI(), WISH)
    print(render(page) if page else "refused")
