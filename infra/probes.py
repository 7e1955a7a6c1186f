"""Whether a process of the mesh serves, asked from outside as a load balancer would."""

import grpc
import httpx
from formwork.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.interceptors import AUTHORIZATION_KEY

_SECONDS = 2.0


def grpc_serves(address: str) -> bool:
    """Tell whether the gRPC server at `host:port` reports SERVING."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def http_ready(base_url: str) -> bool:
    """Tell whether the gateway at `http://host:port` is ready for requests."""
    try:
        return httpx.get(f"{base_url}/readyz", timeout=_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def list_workers(address: str, token: str) -> list[scheduler_pb2.Worker]:
    """Return the workers that the scheduler at `host:port` knows; none where it is silent."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = scheduler_pb2_grpc.SchedulerServiceStub(channel).ListWorkers(
                scheduler_pb2.ListWorkersRequest(),
                timeout=_SECONDS,
                metadata=((AUTHORIZATION_KEY, f"Bearer {token}"),),
            )
        except grpc.RpcError:
            return []
    return list(answer.workers)


def is_ready(worker: scheduler_pb2.Worker) -> bool:
    """Tell whether a worker gets requests."""
    return bool(worker.state == scheduler_pb2.WORKER_STATE_READY)
