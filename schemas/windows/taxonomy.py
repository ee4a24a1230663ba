"""Which events are incidents, and what kind: the code side of ``taxonomy.toml``, ``services.toml``.

Everything here is pure. Events come from nodes and are hostile: any string is accepted, signatures
are short and made of ``a-z0-9._-/`` only.
"""

from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from schemas.reports import Event
from schemas.windows.names import host_or_none, node_name, one_of_many, service_key, slug
from schemas.windows.tables import Kind, taxonomy

__all__ = ["Symptom", "about_node", "classify", "impact_for", "node_name", "planned_restart"]

_SIGNATURE_LENGTH = 120
_NAME_LENGTH = 256  # longest provider or channel that is looked up: caches must not keep megabytes
_CRITICAL, _ERROR = 1, 2
_USUAL_FIELDS = {
    "service": ("param1",),
    "bugcheck": ("BugcheckCode", "param1"),
    "process": ("Process", "AppName", "param1"),
}
_LSASS_DIED = "0x50006"  # shutdown reason "system, unstable" that wininit gives for lsass


class Symptom(Struct, frozen=True):
    """What failed, as far as one event says it."""

    signature: str
    """``short provider/id[/discriminator]``, for example ``scm/7031/clussvc``."""
    cls: str
    """service, cluster, crash, vm, storage, identity, install or other."""
    impact: str
    """outage, degraded or none; ``impact_for`` may raise it for a node's role."""
    before_boot: bool
    """The event reports on the session before the boot after which it was logged."""


class _Meaning(Struct, frozen=True):
    """What a (channel, provider, id) means; ``kind`` is None for ids that nobody has listed."""

    prefix: str
    cls: str
    kind: Kind | None
    benign: bool


def classify(event: Event) -> Symptom | None:
    """The symptom that an event is, or None when it is not an incident.

    Unlisted ids count when they are logged as critical (1) or error (2), so that a failure nobody
    has thought of is still seen.
    """
    meaning = _meaning(event.channel[:_NAME_LENGTH], event.provider[:_NAME_LENGTH], event.id)
    if meaning.benign:
        return None
    kind = meaning.kind
    if kind is None:
        if event.level not in (_CRITICAL, _ERROR):
            return None
        return Symptom(meaning.prefix, meaning.cls, "degraded", False)
    cls, impact = meaning.cls, kind.impact
    signature = meaning.prefix
    if kind.discriminator:
        fields = kind.fields or _USUAL_FIELDS.get(kind.discriminator, ())
        discriminator = _DISCRIMINATORS[kind.discriminator](event, fields)
        if discriminator is None:
            return None
        if discriminator:
            signature = f"{signature}/{discriminator}"[:_SIGNATURE_LENGTH]
        if kind.discriminator == "application":
            process = taxonomy().services.processes.get(discriminator.partition("/")[0])
            if process is not None:
                cls, impact = process.cls, process.impact
    return Symptom(signature, cls, impact, kind.before_boot)


def impact_for(signature: str, impact: str, role: str) -> str:
    """``impact``, raised to outage when the signature says that a service is down (or its process
    crashed) on which a node of this role depends.
    """
    if impact != "degraded":
        return impact
    known = taxonomy()
    critical = known.critical.get(role.casefold())
    if critical is None:
        return impact
    provider, _, rest = signature.partition("/")
    number, _, discriminator = rest.partition("/")
    service: str | None = None
    if f"{provider}/{number}" in known.stops:
        service = discriminator
    elif provider == "application-error":
        service = known.services.process_services.get(discriminator.partition("/")[0])
    return "outage" if service in critical else impact


def planned_restart(event: Event) -> bool:
    """Whether the event announces a restart that somebody asked for (User32 1074)."""
    return event.id == 1074 and _provider(event) == "user32" and not _lsass_died(event)


def about_node(event: Event, as_logged: bool = False) -> str | None:
    """The node (``node_name``) that a cluster event is about; None when it is about its writer.

    Names of event data differ between versions: the names of the taxonomy are tried, then, if
    ``as_logged`` promises that the data still have the order of the log, the first position.
    """
    if event.about:
        return node_name(event.about)
    kind = _meaning(event.channel[:_NAME_LENGTH], event.provider[:_NAME_LENGTH], event.id).kind
    if kind is None or not kind.about:
        return None
    text = _first(event, kind.about)
    if not text and as_logged:
        text = next(iter(event.data.values()), "")
    return host_or_none(text)


@lru_cache(maxsize=4096)
def _meaning(channel: str, provider: str, number: int) -> _Meaning:
    known = taxonomy()
    folded = provider.strip().casefold()
    short = known.short.get(folded)
    if short is None:
        name = slug(folded.removeprefix("microsoft-windows-"), 60)
        return _Meaning(f"{name}/{number}"[:_SIGNATURE_LENGTH], "other", None, False)
    kind = known.kinds.get((channel.casefold(), short, number))
    if kind is None:
        kind = known.kinds.get(("", short, number))
    maker = known.providers[short]
    cls = kind.cls if kind is not None and kind.cls is not None else maker.cls
    benign = maker.benign if kind is None else kind.benign
    return _Meaning(f"{short}/{number}"[:_SIGNATURE_LENGTH], cls, kind, benign)


def _provider(event: Event) -> str | None:
    return taxonomy().short.get(event.provider[:_NAME_LENGTH].strip().casefold())


def _first(event: Event, names: tuple[str, ...]) -> str:
    for name in names:
        text = event.data.get(name)
        if text:
            return text
    return ""


def _service(event: Event, names: tuple[str, ...]) -> str | None:
    key = service_key(event.binary or event.data.get("Binary", ""))
    if key is not None:
        return key
    display = _first(event, names)[:_NAME_LENGTH].strip().casefold()
    known = taxonomy().services.display_names
    # "SQL Server (PROD)": instances count as one service.
    key = known.get(display) or known.get(display.partition(" (")[0])
    return key or one_of_many(slug(display))


def _bugcheck(event: Event, names: tuple[str, ...]) -> str | None:
    # Kernel-Power writes the code in decimal, WER as "0x0000009f (parameters)".
    words = _first(event, names)[:64].split()
    if not words:
        return ""
    try:
        code = int(words[0], 16 if words[0].lower().startswith("0x") else 10)
    except ValueError:
        return ""
    return hex(code) if code > 0 else ""


def _application(event: Event, names: tuple[str, ...]) -> str | None:
    # Old versions write the fields without names: application 1, module 4, exception 7.
    application = slug(_first(event, ("AppName", "param1")))
    module = slug(_first(event, ("ModuleName", "param4")))
    exception = slug(_first(event, ("ExceptionCode", "param7")).lower().removeprefix("0x"), 16)
    return f"{application}/{module}/{exception}"


def _process(event: Event, names: tuple[str, ...]) -> str | None:
    return slug(_file_name(_first(event, names)))


def _lsass_restart(event: Event, names: tuple[str, ...]) -> str | None:
    return "lsass" if _lsass_died(event) else None


def _lsass_died(event: Event) -> bool:
    by = _file_name(event.data.get("param1", ""))
    return by == "wininit.exe" and event.data.get("param4", "").strip().lower() == _LSASS_DIED


def _file_name(path: str) -> str:
    """``C:\\Windows\\system32\\wininit.exe (HOST)`` → ``wininit.exe``."""
    return path[:1024].partition(" (")[0].strip().lower().rpartition("\\")[2]


_DISCRIMINATORS: dict[str, Callable[[Event, tuple[str, ...]], str | None]] = {
    "service": _service,
    "bugcheck": _bugcheck,
    "application": _application,
    "process": _process,
    "lsass_restart": _lsass_restart,
}
"""A discriminator gives "" when there is nothing to tell, None when the event is no incident."""
