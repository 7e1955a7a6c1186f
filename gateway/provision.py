"""Makes and revokes keys from the operator's shell: `python -m gateway.provision create-key …`.

Reads DATABASE_URL (the gateway's role suffices). The key is printed once, alone, on
standard output.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gateway.keys import make_key
from gateway.store import PostgresKeyStore
from mesh.config import ConfigError
from mesh.database import Database, database_url
from mesh.errors import FormworkError
from mesh.ids import KeyId

_MAX_EXPIRY_SECONDS = 31_536_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(options, database_url()))
    except (ConfigError, FormworkError) as error:
        sys.stderr.write(f"formwork: {error}\n")
        return 1


async def _run(options: argparse.Namespace, url: str) -> int:
    database = Database(url, pool_size=1)
    try:
        store = PostgresKeyStore(database)
        if options.command == "create-key":
            return await _create_key(store, options)
        return await _revoke_key(store, options)
    finally:
        await database.close()


async def _create_key(store: PostgresKeyStore, options: argparse.Namespace) -> int:
    expires_at = None
    if options.expires_in_seconds is not None:
        expires_at = datetime.now(UTC) + timedelta(seconds=options.expires_in_seconds)
    project_id = await store.ensure_project(options.organization, options.project)
    key = make_key()
    key_id = await store.create_key(project_id, options.name, key, expires_at)
    sys.stderr.write(f"key {key_id} of project {options.project} ({project_id})\n")
    sys.stdout.write(key.value + "\n")
    return 0


async def _revoke_key(store: PostgresKeyStore, options: argparse.Namespace) -> int:
    if await store.revoke_key(KeyId(options.key_id)):
        sys.stderr.write(f"revoked {options.key_id}\n")
        return 0
    sys.stderr.write(f"formwork: no key {options.key_id} that is not revoked already\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway.provision", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create-key", help="print a new key of a project")
    create.add_argument("--project", required=True, help="made where it is missing")
    create.add_argument("--organization", default="default")
    create.add_argument("--name", default="key")
    create.add_argument("--expires-in-seconds", type=_seconds)
    revoke = commands.add_parser("revoke-key", help="end a key, within a second")
    revoke.add_argument("key_id")
    return parser


def _seconds(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= _MAX_EXPIRY_SECONDS:
        raise argparse.ArgumentTypeError(f"must be between 1 and {_MAX_EXPIRY_SECONDS}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
