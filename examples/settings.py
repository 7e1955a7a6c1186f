"""What all examples share."""

import os

MODEL = os.environ.get("FORMWORK_MODEL", "formwork-mini")
