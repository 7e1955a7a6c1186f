from pathlib import Path

from infra.database import ExternalDatabase
from infra.home import Home
from infra.plan import COMPILER, GATEWAY, SCHEDULER, Surroundings, head_spec, service_spec
from infra.roles import SERVICES, DatabaseAccess, role_of
from infra.urls import Url

OWNER = Url("formwork_owner", "owner-password", "127.0.0.1", 5432, "formwork")
ACCESS = DatabaseAccess(
    OWNER, {name: OWNER.as_user(role_of(name), f"{name}-password") for name in SERVICES}
)
ENVIRONMENT = {
    "PATH": "/bin",
    "DATABASE_URL": str(OWNER),
    "PGPASSWORD": "owner-password",
    "OPENAI_API_KEY": "somebody-elses-key",
    "FORMWORK_GATEWAY_MAX_CHOICES": "2",
}
AROUND = Surroundings(Home(Path("/h")), ENVIRONMENT, {"RAY_ADDRESS": "127.0.0.1:1"})


def test_each_service_logs_into_the_database_as_itself_only() -> None:
    for name in SERVICES:
        environment = service_spec(AROUND, name, ACCESS, None).environment
        assert environment["DATABASE_URL"] == ACCESS.url(name)
        assert not any("owner-password" in value for value in environment.values())
        others = [other for other in SERVICES if other != name]
        text = " ".join(environment.values())
        assert not any(f"{other}-password" in text for other in others)


def test_a_service_behind_a_pooler_also_gets_the_direct_way() -> None:
    pooled = DatabaseAccess(OWNER, {GATEWAY: Url("formwork_gateway", "p", "pool", 6432, "f")})
    external = ExternalDatabase(Url("o", "p", "pool", 6432, "f"), Url("o", "p", "db", 5432, "f"))
    environment = service_spec(AROUND, GATEWAY, pooled, external).environment
    assert environment["DATABASE_URL"] == "postgresql://formwork_gateway:p@pool:6432/f"
    assert environment["DATABASE_DIRECT_URL"] == "postgresql://formwork_gateway:p@db:5432/f"


def test_what_workers_inherit_has_no_secret_of_the_database() -> None:
    environment = head_spec(AROUND, 1, 2, 4).environment
    assert "owner-password" not in " ".join(environment.values())
    assert "somebody-elses-key" not in " ".join(environment.values())
    assert environment["FORMWORK_GATEWAY_MAX_CHOICES"] == "2"


def test_only_the_scheduler_joins_ray() -> None:
    joins = {
        name: "RAY_ADDRESS" in service_spec(AROUND, name, ACCESS, None).environment
        for name in (COMPILER, SCHEDULER, GATEWAY)
    }
    assert joins == {COMPILER: False, SCHEDULER: True, GATEWAY: False}
