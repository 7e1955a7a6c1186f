"""Models, health, readiness, metrics, headers."""

import pytest

from .conftest import ALIAS, SNAPSHOT, Bench


async def test_models_lists_snapshots_and_aliases(bench: Bench) -> None:
    models = [model async for model in bench.client.models.list()]
    assert [model.id for model in models] == [SNAPSHOT, ALIAS]
    assert models[0].created == 1_700_000_000


async def test_a_model_is_described_under_both_names(bench: Bench) -> None:
    for name in (SNAPSHOT, ALIAS):
        response = await bench.get(f"/v1/models/{name}")
        assert response.json()["id"] == name
        assert response.json()["formwork"]["snapshot"] == SNAPSHOT
    response = await bench.get("/v1/models/none/such")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


async def test_models_want_a_key(bench: Bench) -> None:
    response = await bench.get("/v1/models", authorization="")
    assert response.status_code == 401


async def test_health_and_docs_are_open(bench: Bench) -> None:
    assert (await bench.get("/healthz", authorization="")).json() == {"status": "ok"}
    assert (await bench.get("/docs", authorization="")).status_code == 200
    schema = (await bench.get("/openapi.json")).json()
    assert "/v1/chat/completions" in schema["paths"]


async def test_ready_when_a_worker_is(bench: Bench) -> None:
    assert (await bench.get("/readyz")).status_code == 200


async def test_not_ready_without_a_worker_and_it_says_so(bench: Bench) -> None:
    bench.scheduler.addresses.clear()
    response = await bench.get("/readyz")
    assert response.status_code == 503
    assert response.json()["missing"] == {"worker": "NO_WORKER"}


async def test_ready_while_the_database_is_down(bench: Bench) -> None:
    bench.store.is_down = True
    assert (await bench.get("/readyz")).status_code == 200


async def test_the_clients_request_id_is_taken_when_well_formed(bench: Bench) -> None:
    response = await bench.get("/healthz", **{"x-request-id": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    response = await bench.get("/healthz", **{"x-request-id": "a b"})
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["openai-version"] == "2020-10-01"


async def test_the_request_id_reaches_the_mesh(bench: Bench) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    await bench.post(bench.chat(), **{"x-request-id": "mine-2", "traceparent": trace})
    assert bench.scheduler.acquired[0].request_id == "mine-2"
    assert bench.worker.opens[0].request_id == "mine-2"
    assert bench.worker.opens[0].traceparent == trace


async def test_metrics_count_by_route_not_by_path(bench: Bench) -> None:
    await bench.post(bench.chat())
    for number in range(3):
        await bench.get(f"/v1/models/{number}")
        await bench.get(f"/nothing/{number}")
    text = (await bench.get("/metrics")).text
    assert 'requests_total{route="/v1/chat/completions",status="200"} 1.0' in text
    assert 'requests_total{route="/v1/models/{model:path}",status="404"} 3.0' in text
    assert 'requests_total{route="other",status="404"} 3.0' in text
    assert "/nothing/" not in text


async def test_one_log_event_per_request_without_the_key(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    await bench.post(bench.chat())
    output = "".join(capfd.readouterr())
    assert output.count("duration_ms") == 1
    assert "completion_tokens" in output
    assert bench.key.value not in output
