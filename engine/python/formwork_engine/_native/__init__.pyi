# The engine's C ABI (src/ffi.rs) as cffi declares it; the file beside it is generated.
from typing import Any

ffi: Any
lib: Any
