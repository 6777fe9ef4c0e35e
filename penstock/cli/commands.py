"""All commands, in the order of a first day with penstock."""

from penstock.cli.ingesting import ingest, provision
from penstock.cli.local import doctor, init, local
from penstock.cli.quarantining import quarantine
from penstock.cli.reading import get, query, status

COMMANDS = (init, doctor, local, provision, ingest, status, get, query, quarantine)
