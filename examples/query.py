"""Asks a database in SQL that a grammar keeps to what is there: it is run as the model wrote it."""

import sqlite3
from contextlib import closing

import openai
from openai.types.chat import ChatCompletionCustomToolParam

from examples.settings import MODEL

QUESTION = "Use query to find all people older than 30."
TABLES = """
CREATE TABLE people (name TEXT, age INTEGER, city TEXT);
INSERT INTO people VALUES ('Nina', 34, 'Lisbon'), ('Tom', 28, 'Porto'), ('Ada', 61, 'Faro');
CREATE TABLE orders (name TEXT, total INTEGER);
INSERT INTO orders VALUES ('Nina', 40), ('Ada', 15);
"""
# Reads only, from two tables, by columns that they have; every terminal is bounded.
GRAMMAR = r"""
start: "SELECT " (people | orders) ";"
people: person ("," person)~0..2 " FROM people" (" WHERE " person_test)? person_end
orders: order ("," order)~0..1 " FROM orders" (" WHERE " order_test)? order_end
person_end: (" ORDER BY " person)? limit?
order_end: (" ORDER BY " order)? limit?
limit: " LIMIT " /[1-9][0-9]?/
person: "name" | "age" | "city"
order: "name" | "total"
person_test: ("name" | "city") "=" STRING | "age" COMPARISON NUMBER
order_test: "name" "=" STRING | "total" COMPARISON NUMBER
COMPARISON: "<" | ">" | "="
NUMBER: /[0-9]{1,4}/
STRING: /'[A-Z][a-z]{1,11}'/
"""
TOOL: ChatCompletionCustomToolParam = {
    "type": "custom",
    "custom": {
        "name": "query",
        "description": "Queries people (name, age, city) and orders (name, total).",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": GRAMMAR}},
    },
}


def write_query(client: openai.OpenAI, question: str) -> str | None:
    """Return a query; None if the model refused."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        tools=[TOOL],
        tool_choice={"type": "custom", "custom": {"name": "query"}},
        temperature=0,
        max_completion_tokens=200,
    )
    for call in completion.choices[0].message.tool_calls or []:
        if call.type == "custom":
            return call.custom.input
    return None


def run_query(sql: str) -> list[tuple[object, ...]]:
    """Return the rows."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(TABLES)
        return database.execute(sql).fetchall()


if __name__ == "__main__":
    sql = write_query(openai.OpenAI(), QUESTION)
    print(sql or "refused")
    for row in run_query(sql) if sql else []:
        print(*row, sep=" | ")
