"""``kbwatch gate``: may a patch pipeline go on? The answer is the exit code."""

import asyncio
from typing import Annotated

import typer

from schemas.cli_options import AsJson, InFleet, print_json, with_settings
from schemas.settings import Settings

EXIT_CODES = {"go": 0, "no-go": 1, "inconclusive": 3}
UNAVAILABLE = 4

app = typer.Typer()


@app.command()
@with_settings
def gate(
    settings: Settings,
    kb: Annotated[str, typer.Argument(help="Such as KB5062557.")],
    branch: Annotated[str, typer.Option(help="Such as 17763.")],
    fleet: InFleet = "default",
    ring: Annotated[str, typer.Option(help="The ring that is next.")] = "",
    cluster: Annotated[
        str, typer.Option(help="A cluster: no-go until its last patched node is back and well.")
    ] = "",
    url: Annotated[str, typer.Option(help="The NOC server (default: noc.host and noc.port).")] = "",
    token_file: Annotated[
        str,
        typer.Option(
            help="File with its token (default: noc.token_file, for the server of noc.host alone).",
            metavar="FILE",
        ),
    ] = "",
    ca_file: Annotated[
        str, typer.Option(help="PEM of the authority that signed its certificate.", metavar="FILE")
    ] = "",
    timeout_s: Annotated[float, typer.Option(help="Wait so long.", min=0.1)] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Ask the gate whether KB may go on. Exit codes: 0 go, 1 no-go, 3 inconclusive, 4 no answer
    (never a go), 2 the question is wrong. Example:

        kbwatch gate KB5062557 --branch 17763 --ring ring2 || exit 1
    """
    from dashboards.noc.answers import Gate
    from dashboards.noc.client import UnavailableError, ask, own_url

    query = {"kb": kb.upper(), "branch": branch, "fleet": fleet}
    query |= {"ring": ring} if ring else {}
    query |= {"cluster": cluster} if cluster else {}
    own = own_url(settings.noc)
    if not url or url.rstrip("/") == own:
        token_file = token_file or settings.noc.token_file
    question = ask(
        url or own,
        "/api/v1/gate",
        query,
        Gate,
        token_file=token_file,
        ca_file=ca_file,
        timeout_s=timeout_s,
    )
    try:
        answer = asyncio.run(question)
    except UnavailableError as error:
        typer.echo(f"kbwatch: unavailable: {error}", err=True)
        raise typer.Exit(UNAVAILABLE) from None
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer.answer)
        for reason in answer.reasons:
            typer.echo(f"  {_plain(reason)}")
    raise typer.Exit(EXIT_CODES[answer.answer])


def _plain(text: str) -> str:
    # Reasons name nodes and signatures; a terminal must not obey them.
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
