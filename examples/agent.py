"""Answers a customer with three tools; its answer has a given form."""

from collections.abc import Callable
from typing import Literal

import openai
from pydantic import BaseModel, Field

from examples.settings import MODEL
from formwork_client import CallDone, CallStarted, Run, ToolLoop, tool

QUESTION = "Get the orders of the customer, status open."
ORDERS = {101: ("open", 40.0), 102: ("closed", 15.5), 103: ("open", 7.25)}

Number = Literal[101, 102, 103]


@tool
def list_orders(status: Literal["open", "closed"]) -> list[int]:
    """Lists the numbers of the customer's orders.

    Args:
        status: Of the orders.
    """
    return [number for number, (state, _) in ORDERS.items() if state == status]


@tool
def get_amount(order: Number) -> float:
    """Looks up what an order costs, in euros.

    Args:
        order: Its number.
    """
    return ORDERS[order][1]


@tool
def send_reminder(order: Number, days: int = 14) -> str:
    """Reminds the customer of an open order.

    Args:
        order: Its number.
        days: Until it has to be paid.
    """
    if ORDERS[order][0] != "open":
        raise ValueError(f"order {order} is closed")
    return f"the customer has {days} days for order {order}"


class Report(BaseModel):
    """What the agent has to say in the end."""

    orders: list[Number] = Field(max_length=3)
    is_settled: bool


def answer(client: openai.OpenAI, question: str, show: Callable[[str], object]) -> Run[Report]:
    """Return the whole run, calls shown as they happen. It ends with a report, or a refusal."""
    loop = ToolLoop(client, [list_orders, get_amount, send_reminder], max_turns=4, must_answer=True)
    with loop.stream(question, model=MODEL, response_format=Report, temperature=0) as stream:
        for event in stream:
            if isinstance(event, CallStarted):
                show(f"{event.call.name}{event.call.text}")
            elif isinstance(event, CallDone):
                show(f"  -> {event.reply.content}")
        return stream.get_final_run()


if __name__ == "__main__":
    run = answer(openai.OpenAI(), QUESTION, print)
    print(run.refusal or run.parsed)
    print(f"{len(run.completions)} turns, {run.usage.total_tokens} tokens")
