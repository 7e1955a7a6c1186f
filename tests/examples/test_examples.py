"""The examples, against a whole mesh with the built-in model: what they get fits, and is used."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import TypeVar

import openai
import pytest

from examples import (
    agent,
    classification,
    extraction,
    interface,
    query,
    rating,
    settings,
    tutor,
)
from infra.testing import MeshForTests

GivenT = TypeVar("GivenT")


@pytest.fixture(scope="module")
def client(trained_mesh: MeshForTests, trained_key: str) -> Iterator[openai.OpenAI]:
    assert settings.MODEL == "formwork-mini"
    with openai.OpenAI(
        base_url=trained_mesh.base_url,
        api_key=trained_key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as opened:
        yield opened


def given(answer: GivenT | None) -> GivenT:
    """Return an answer; these requests have a seed or no temperature, and are not refused."""
    assert answer, "the model refused, or what the answer should hold is missing"
    return answer


def test_extraction_finds_the_order_in_a_mail(client: openai.OpenAI) -> None:
    order = given(extraction.extract(client, extraction.MAIL))
    assert order.quantity >= 1
    assert order.priority in {"low", "medium", "high", None}


def test_classification_knows_how_likely_each_topic_is(client: openai.OpenAI) -> None:
    found = given(classification.classify(client, classification.MESSAGE))
    assert list(found) == ["billing", "sales", "shipping", "technical"]
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) > 0


def test_rating_has_a_mark_and_an_average(client: openai.OpenAI) -> None:
    mark, average = given(rating.rate(client, rating.TEXT))
    assert 1 <= mark <= 10
    assert 1 <= average <= 10
    assert average != mark


def test_the_tutor_streams_steps_and_an_answer(client: openai.OpenAI) -> None:
    pieces: list[str] = []
    solution = given(tutor.solve(client, tutor.TASK, pieces.append))
    assert "".join(pieces) == solution.model_dump_json()
    assert len(pieces) > 1
    assert re.fullmatch(r"x = -?\d+(/\d+)?", solution.final_answer)


class Nesting(HTMLParser):
    """Checks that every tag is closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_interface_is_rendered(client: openai.OpenAI) -> None:
    page = given(interface.draw(client, interface.WISH))
    nesting = Nesting()
    nesting.feed(interface.render(page))
    assert nesting.open == []
    assert {interface.TAGS[widget.kind] for widget in page.widgets} <= nesting.seen


def test_the_interface_escapes_what_a_model_writes() -> None:
    widget = interface.Widget.model_construct(kind="text", label="<b>", children=[])
    page = interface.Page.model_construct(title="A & B", widgets=[widget])
    assert "<h1>A &amp; B</h1>" in interface.render(page)
    assert "<p>&lt;b&gt;" in interface.render(page)


def test_the_agent_calls_tools_and_reports(client: openai.OpenAI) -> None:
    shown: list[str] = []
    run = agent.answer(client, agent.QUESTION, shown.append)
    called = [line.partition("{")[0] for line in shown if not line.startswith(" ")]
    assert called
    assert set(called) <= {"list_orders", "get_amount", "send_reminder"}
    assert len(shown) == 2 * len(called)
    assert not [line for line in shown if "Invalid" in line]
    report = given(run.parsed)
    assert set(report.orders) <= set(agent.ORDERS)


def test_the_query_runs_as_it_was_written(client: openai.OpenAI) -> None:
    sql = given(query.write_query(client, query.QUESTION))
    assert sql.startswith("SELECT ")
    query.run_query(sql)
