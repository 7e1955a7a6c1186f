# What cffi's declarations hold; the file beside it is generated.
from typing import Any

ffi: Any
