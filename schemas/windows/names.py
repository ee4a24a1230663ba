"""Names that nodes send: who a node is, and strings made safe for signatures.

Whatever comes from a node is hostile: everything here accepts any text and returns short text of
known letters.
"""

import re
import unicodedata
import zlib

_NODE_LENGTH = 256
_FORBIDDEN = re.compile(r"[|\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_NOT_SLUG = re.compile(r"[^a-z0-9._]+")
_READ_LENGTH = 256  # characters of a hostile string that are looked at
_PER_USER = re.compile(r"_[0-9a-f]{4,16}$")


def node_name(computer: str) -> str:
    """The identity of a node: the computer name without domain, lower case.

    ``HV03.corp.example`` and ``hv03`` are one node; an address stays whole. What can't be part of
    a key (``|``, control characters) becomes ``-``.
    """
    name = _FORBIDDEN.sub("-", computer[:_NODE_LENGTH].strip()).lower()
    return name if _IPV4.fullmatch(name) else name.partition(".")[0]


def host_or_none(text: str) -> str | None:
    """``node_name`` of ``text`` if that is a possible host name, else None."""
    name = node_name(text)
    return name if _HOST.fullmatch(name) and not _FORBIDDEN.search(text) else None


def slug(text: str, length: int = 40) -> str:
    """``text`` in letters ``a-z0-9._-``, at most ``length`` of them.

    Accents are dropped. Names in other scripts become a short checksum, so that two of them stay
    two. Empty text gives ``-``.
    """
    head = text[:_READ_LENGTH].strip()
    plain = unicodedata.normalize("NFKD", head).encode("ascii", "ignore").decode().lower()
    cut = _NOT_SLUG.sub("-", plain).strip("-.")[:length]
    if cut or not head:
        return cut or "-"
    return f"u{zlib.crc32(head.encode('utf-8', 'surrogatepass')):08x}"


def service_key(binary: str) -> str | None:
    """The service key in an SCM event's ``Binary``, as a slug; None when there is none.

    UTF-16LE in hexadecimal, NUL-terminated, with a state suffix in 7036 (``ClusSvc/4``). Instances
    count as one service: ``MSSQL$PROD`` gives ``mssql``.
    """
    if not binary:
        return None
    try:
        # A key is at most 256 UTF-16 units: 1,024 hexadecimal digits.
        key = bytes.fromhex(binary[:1024]).decode("utf-16-le")
    except ValueError:
        return None
    key = key.partition("\0")[0].partition("/")[0].strip()
    return one_of_many(slug(key.partition("$")[0] or key)) if key.isprintable() and key else None


def one_of_many(service: str) -> str:
    """A service slug without what differs per session: ``cdpusersvc_3a5f1`` → ``cdpusersvc``."""
    return _PER_USER.sub("", service)
