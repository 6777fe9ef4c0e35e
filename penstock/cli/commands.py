"""All commands, in the order of a first day with penstock."""

from penstock.cli.adopting import adopt
from penstock.cli.backfilling import backfill, plan
from penstock.cli.crawling import crawler
from penstock.cli.datasets import dataset
from penstock.cli.forgetting import forget
from penstock.cli.ingesting import ingest, provision
from penstock.cli.ledgers import ledger
from penstock.cli.local import doctor, init, local
from penstock.cli.maintaining import compact, expire
from penstock.cli.quarantining import quarantine
from penstock.cli.reading import get, query, status
from penstock.cli.scheduling import schedule
from penstock.cli.statements import sql
from penstock.cli.undoing import undo

COMMANDS = (
    init,
    doctor,
    local,
    adopt,
    provision,
    ingest,
    plan,
    backfill,
    undo,
    status,
    get,
    query,
    sql,
    quarantine,
    ledger,
    dataset,
    compact,
    expire,
    forget,
    schedule,
    crawler,
)
