"""``kbwatch noc``: the live page, its API and the gate."""

import asyncio

import typer

from schemas.cli_options import with_settings
from schemas.settings import Settings

app = typer.Typer()


@app.command()
@with_settings
def noc(settings: Settings) -> None:
    """Serve the live page, its API and the gate until Ctrl-C or SIGTERM. Example:

        kbwatch noc --set noc.port=8710

    It reads Kafka and writes nothing. On other addresses than loopback it wants noc.token_file, or
    noc.proxy_header with noc.proxy_addresses.
    """
    from dashboards.noc.server import serve
    from schemas.log import configure

    configure(settings.log_level, settings.log_format)
    asyncio.run(serve(settings))
