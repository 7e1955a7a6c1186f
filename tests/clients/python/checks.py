"""Runs checks and prints what came of each as a line of JSON, for test_clients.py."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version

from pydantic import BaseModel

MODEL = os.environ["FORMWORK_MODEL"]
TEXT = "Nina Okafor, 34, from Lisbon."
MESSAGES = [{"role": "user", "content": TEXT}]


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    city: str


def run(client: str, checks: Mapping[str, Callable[[], None]]) -> None:
    """Run checks: what each is about, as docs/clients.md has it, and what raises if it fails."""
    for what, check in checks.items():
        error = None
        try:
            check()
        except Exception:  # noqa: BLE001 - whatever a client raises is what came of it
            error = traceback.format_exc(limit=-4)
        found = {"client": f"{client} (Python)", "version": version(client)}
        sys.stdout.write(json.dumps({**found, "what": what, "error": error}) + "\n")
