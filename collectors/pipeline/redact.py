"""What never leaves this node: user names, account SIDs, addresses, arguments of command lines.

Rules look at the values of event data, by the field's name and by their text, and at ``Binary``.
What detection reads is left alone: service keys and names, bugcheck codes, crashed programs, the
nodes that cluster events name. KBs and builds are records by then and hold no text. Redacting twice
gives the same (patterns of one's own that look at their surroundings apart).
"""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from msgspec.structs import replace

from collectors.pipeline.own_patterns import compiled, hidden
from collectors.settings import RedactSettings
from schemas.reports import Event
from schemas.windows.tables import taxonomy

USER, SID, ADDRESS = "[user]", "[sid]", "[address]"
ARGUMENTS = "[arguments]"

# Fields by what they hold, names case-folded.
_USER_FIELDS = re.compile(
    "(?:(?:subject|(?:old|new)?target(?:outbound)?|client|caller)?user|member|(?:sam)?account)name"
    "|user(?:account|identity|context|displayname|principalname)?|logonaccount|upn"
)
_ADDRESS_FIELDS = re.compile(
    "(?:(?:ip|client|source|dest(?:ination)?|remote|local|server)?address)|(?:client|source)?ip"
)
_COMMAND_FIELDS = re.compile("(?:(?:parent)?(?:process)?commandline)|imagepath|servicefilename")
# Unnamed data that hold an account: (short or whole name of the provider, id) → fields.
_USER_PARAMS = {
    ("microsoft-windows-distributedcom", 10016): ("param7",),
    ("dcom", 10016): ("param7",),
    ("scm", 7038): ("param2",),
    ("scm", 7045): ("param5",),
    ("user32", 1074): ("param7",),
}
_COMMAND_PARAMS = {("scm", 7045): ("param2",)}

# What the discriminators of schemas/windows/taxonomy.py read.
_NEEDED = {
    "": (),
    "service": ("param1", "Binary"),
    "bugcheck": ("BugcheckCode", "param1"),
    "application": (
        "AppName", "param1", "ModuleName", "param4", "ExceptionCode", "param7",
    ),
    "process": ("Process", "AppName", "param1"),
    "lsass_restart": ("param1", "param4"),
}  # fmt: skip
_PROGRAMS = frozenset({"process", "lsass_restart"})
"""Discriminators that read a program's path up to the computer in brackets behind it."""

# Whose Binary is a service key, times and codes, or a driver's error packet: never names.
_PLAIN_BINARY = frozenset(
    {"scm", "eventlog", "user32", "disk", "storage-miniport", "ntfs", "volsnap", "volmgr"}
)

_NOBODY = frozenset({"", "-", "n/a", "system", "local service", "network service", "localsystem"})
_AUTHORITIES = frozenset(
    {"authority", "service", "builtin", "apppool", "machine", "manager", "host", "files"}
    | {"hklm", "hkcu", "hkcr", "hku", "hkey_local_machine", "hkey_current_user", "hkey_users"}
)
"""Last words of Windows' own domains and of "Program Files", and the registry's roots."""

# Accounts have S-1-5-21-… (domains, machines), S-1-12-… (Entra), S-1-22-… (Samba).
_SIDS = re.compile(r"S-1-(?!(?:[0-3]|15|16|18)-|5-(?!21-))\d[\d-]*", re.IGNORECASE)
_PROFILES = re.compile(
    r"(\\(?:Users|Documents and Settings)\\)"
    r"(?!(?:Public|Default|All Users)\b)"
    r"(?:[^\\/:*?\"<>|\r\n]{1,64}(?=\\)|[^\s\\/:*?\"<>|']{1,64})",
    re.IGNORECASE,
)
_ACCOUNTS = re.compile(r"(?<![\w\\/.%$~&-])([\w.-]{1,64})\\([\w.+$-]{1,64})(?![\w.+$\\&-])")
_UPNS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IPV4 = re.compile(r"(?<!\d)(?<!\d\.)(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)
_FILE = re.compile(r"\.(?:exe|dll|sys|inf|dat|log|cpl|msc|ps1|dmp)$", re.IGNORECASE)
# One place to begin at, and bounded ones to end at: hostile command lines are as long as events.
_PROGRAM = re.compile(
    r'(?:"([^"]*)"|(.{0,1024}?\.(?:exe|sys|dll|com|bat|cmd|ps1))(?=\s|$)|(\S+))(.*)',
    re.IGNORECASE | re.DOTALL,
)

_MAX_ROUNDS = 10

_Rule = Callable[[str], str]
_TextRule = tuple[str, _Rule]
"""A text without these characters is not looked at more closely."""


class Redactor:
    """The rules that settings ask for. Raises KbwatchError for a pattern that can't be used."""

    def __init__(self, settings: RedactSettings) -> None:
        self._settings = settings
        self._patterns = [compiled(pattern) for pattern in settings.patterns]
        self._texts = _text_rules(settings)
        self._versions = _text_rules(replace(settings, addresses=False))
        self._active = bool(self._patterns or self._texts or settings.command_lines)
        self._rules_of = lru_cache(maxsize=4_096)(self._by_kind)
        self._rule_of = lru_cache(maxsize=4_096)(self._by_name)

    def event(self, event: Event) -> Event:
        """The event as it may leave; the same object when there is nothing to hide."""
        if not self._active:
            return event
        rules = self._rules_of(event.channel[:256], event.provider[:256], event.id)
        data = event.data
        changed: dict[str, str] = {}
        for name, text in data.items():
            if len(text) < 2:
                continue
            rule = rules.get(name)
            if rule is None:
                rule = self._rule_of(name[:64])
            clean = rule(text)
            if clean != text:
                changed[name] = clean
        binary = event.binary
        if binary and "" not in rules:
            binary = ""
        if not changed and binary == event.binary:
            return event
        return replace(event, data={**data, **changed}, binary=binary)

    def _by_kind(self, channel: str, provider: str, number: int) -> dict[str, _Rule]:
        """Rules of fields by name, for one kind of event; the name "" says: Binary may leave."""
        known = taxonomy()
        folded = provider.strip().casefold()
        short = known.short.get(folded, "")
        rules: dict[str, _Rule] = {}
        if self._settings.users:
            for name in {short, folded}:
                rules.update(dict.fromkeys(_USER_PARAMS.get((name, number), ()), _user))
        if self._settings.command_lines:
            rules.update(dict.fromkeys(_COMMAND_PARAMS.get((short, number), ()), self._command))
        kind = known.kinds.get((channel.casefold(), short, number))
        kind = kind or known.kinds.get(("", short, number))
        if kind is not None:
            needed = (*kind.fields, *kind.about, *_NEEDED[kind.discriminator])
            of_program = kind.discriminator in _PROGRAMS
            rules.update(dict.fromkeys(needed, self._program if of_program else _as_it_is))
        if short in _PLAIN_BINARY:
            rules[""] = _as_it_is
        return rules

    def _by_name(self, name: str) -> _Rule:
        folded = name.casefold()
        if self._settings.users and _USER_FIELDS.fullmatch(folded):
            return _user
        if self._settings.addresses and _ADDRESS_FIELDS.fullmatch(folded):
            return _address
        if self._settings.command_lines and _COMMAND_FIELDS.fullmatch(folded):
            return self._command
        return self._version if "version" in folded else self._text

    def _text(self, text: str) -> str:
        return self._applied(self._texts, text)

    def _version(self, text: str) -> str:
        # 2.10.0.0 is no address here.
        return self._applied(self._versions, text)

    def _applied(self, rules: list[_TextRule], text: str) -> str:
        # What is hidden may set free what stood too close to it to be told.
        for _ in range(_MAX_ROUNDS):
            before = text
            for pattern in self._patterns:
                text = hidden(pattern, text)
            for needle, rule in rules:
                if needle in text:
                    text = rule(text)
            if text == before:
                break
        return text

    def _program(self, text: str) -> str:
        path, bracket, computer = text.partition(" (")
        return path + self._text(bracket + computer)

    def _command(self, text: str) -> str:
        found = _PROGRAM.match(text.lstrip())
        if found is None:
            return self._text(text)
        quoted, path, word, arguments = found.groups()
        program = self._text(quoted or path or word or "")
        return f"{program} {ARGUMENTS}" if arguments.strip() else program


def _text_rules(settings: RedactSettings) -> list[_TextRule]:
    rules: list[_TextRule] = []
    if settings.sids:
        rules.append(("-", lambda text: _SIDS.sub(SID, text)))
    if settings.users:
        rules.append(("\\", _paths_and_accounts))
        rules.append(("@", lambda text: _UPNS.sub(USER, text)))
    if settings.addresses:
        rules.append((".", lambda text: _IPV4.sub(_ipv4, text)))
        rules.append((":", lambda text: _IPV6.sub(_ipv6, text)))
    return rules


def _as_it_is(text: str) -> str:
    return text


def _user(text: str) -> str:
    name = text.strip()
    _, _, account = name.rpartition("\\")
    # Names of computers and of managed service accounts end with $.
    if account.casefold() in _NOBODY or account.endswith("$") or _is_windows(name):
        return text
    return USER


def _is_windows(name: str) -> bool:
    """Whether ``DOMAIN\\name`` is an account that every Windows has."""
    domain, backslash, _ = name.rpartition("\\")
    return bool(backslash) and domain.casefold().rpartition(" ")[2] in _AUTHORITIES


def _address(text: str) -> str:
    return text if text.strip() in ("", "-", "::1", "127.0.0.1", "LOCAL") else ADDRESS


def _paths_and_accounts(text: str) -> str:
    return _ACCOUNTS.sub(_account, _PROFILES.sub(rf"\1{USER}", text))


def _account(found: re.Match[str]) -> str:
    domain, account = found.groups()
    stays = domain.casefold() in _AUTHORITIES or account.endswith("$") or _FILE.search(account)
    return found.group() if stays else USER


def _ipv4(found: re.Match[str]) -> str:
    return _if_address(found.group(), ipaddress.IPv4Address)


def _ipv6(found: re.Match[str]) -> str:
    return _if_address(found.group(), ipaddress.IPv6Address)


def _if_address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> str:
    try:
        address = kind(text)
    except ValueError:
        return text
    return text if address.is_loopback or address.is_unspecified else ADDRESS
