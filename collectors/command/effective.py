"""Settings as they may be shown: secrets are in files, but some settings may hold one."""

from msgspec.structs import replace

from collectors.settings import Settings
from schemas import cli_options

_MASK = "[masked]"


def masked(settings: Settings) -> Settings:
    """Settings without what may be secret: a password among the addresses, patterns to redact."""
    hosts = [host.rpartition("@") for host in settings.kafka.bootstrap.split(",")]
    bootstrap = ",".join(f"{_MASK}@{host}" if at else host for _, at, host in hosts)
    return replace(
        settings,
        kafka=replace(settings.kafka, bootstrap=bootstrap),
        redact=replace(settings.redact, patterns=(_MASK,) * len(settings.redact.patterns)),
    )


def shown(settings: Settings, print_config: bool) -> Settings:
    """``settings``; with ``print_config`` they are printed, masked, and the command ends."""
    cli_options.shown(masked(settings), print_config)
    return settings
