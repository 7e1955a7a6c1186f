import pytest
from formwork_engine import Budget

from compiler_service.config import CompilerConfig


def test_the_limits_of_the_service_are_those_of_its_indexes() -> None:
    config = CompilerConfig(
        max_schema_bytes=1000, max_schema_depth=9, max_schema_nodes=70, mask_fuel=500
    )
    assert config.budget() == Budget(max_bytes=1000, max_depth=9, max_nodes=70, mask_fuel=500)


@pytest.mark.parametrize("name", ["mask_fuel", "short_slots", "queue_total"])
def test_what_cannot_work_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CompilerConfig(**{name: 0})
