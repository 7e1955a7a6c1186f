"""The scheduler's parts, put together from its configuration."""

from dataclasses import dataclass
from datetime import timedelta

from mesh.clock import Clock
from mesh.models import ModelTable
from scheduler.admission import Admission, AdmissionLimits
from scheduler.book import LeaseBook
from scheduler.config import SchedulerConfig
from scheduler.flow import LeaseFlow
from scheduler.journal import Journal, JournalLimits
from scheduler.leases import Patience
from scheduler.ledger import Ledger
from scheduler.queues import QueueLimits
from scheduler.reconciler import ReconcilerLimits
from scheduler.records import Tier
from scheduler.service import SchedulerService
from scheduler.store import LeaseStore
from scheduler.sweeper import Sweeper
from scheduler.workers import WorkerRegistry


@dataclass(frozen=True)
class Scheduler:
    """One scheduler without its edges: database, launcher and server are the caller's."""

    book: LeaseBook
    registry: WorkerRegistry
    journal: Journal
    admission: Admission
    flow: LeaseFlow
    sweeper: Sweeper


def build_scheduler(config: SchedulerConfig, store: LeaseStore, clock: Clock) -> Scheduler:
    """Return a scheduler over a store."""
    book = LeaseBook(timedelta(seconds=config.closed_memory_seconds))
    registry = WorkerRegistry(config.worker_lost_seconds)
    journal = Journal(store, clock, _journal_limits(config))
    ledger = Ledger(book, journal, store, clock)
    admission = Admission(book, registry, clock, _admission_limits(config))
    patience = _patience(config)
    flow = LeaseFlow(
        ledger,
        admission,
        registry,
        clock,
        patience,
        checkpoint_seconds=config.checkpoint_seconds,
    )
    sweeper = Sweeper(ledger, admission, registry, store, clock, patience)
    return Scheduler(book, registry, journal, admission, flow, sweeper)


def build_service(
    scheduler: Scheduler, config: SchedulerConfig, models: ModelTable, key: bytes, clock: Clock
) -> SchedulerService:
    """Return the contract's face of a scheduler."""
    return SchedulerService(
        scheduler.flow,
        scheduler.admission,
        scheduler.registry,
        models,
        key,
        clock,
        max_queue_seconds=config.max_queue_seconds,
        max_choices=config.max_choices,
    )


def reconciler_limits(config: SchedulerConfig) -> ReconcilerLimits:
    """Return the reconciler's patience."""
    return ReconcilerLimits(
        hung_seconds=config.worker_hung_seconds,
        start_seconds=config.worker_start_seconds,
        stop_seconds=config.worker_stop_seconds,
        backoff_seconds=config.backoff_seconds,
        max_backoff_seconds=config.max_backoff_seconds,
    )


def _journal_limits(config: SchedulerConfig) -> JournalLimits:
    return JournalLimits(
        config.write_retry_seconds, config.max_pending_writes, config.max_write_batch
    )


def _admission_limits(config: SchedulerConfig) -> AdmissionLimits:
    capacity = {
        Tier.PRIORITY: config.queue_priority,
        Tier.DEFAULT: config.queue_default,
        Tier.FLEX: config.queue_flex,
        Tier.BATCH: config.queue_batch,
    }
    floor = {
        Tier.DEFAULT: config.floor_default,
        Tier.FLEX: config.floor_flex,
        Tier.BATCH: config.floor_batch,
    }
    return AdmissionLimits(
        QueueLimits(capacity, floor), config.no_worker_seconds, config.oversubscription
    )


def _patience(config: SchedulerConfig) -> Patience:
    return Patience(
        lease_ttl=timedelta(seconds=config.lease_ttl_seconds),
        expiry_margin=timedelta(seconds=config.worker_lost_seconds),
        gateway_grace=timedelta(seconds=config.gateway_grace_seconds),
        sweep_grace=timedelta(seconds=config.sweep_grace_seconds),
    )
