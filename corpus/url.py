"""Where a page lives: its address in one spelling, its host, and its registered domain.

Sites are told apart by the public suffix list that ships inside tldextract, never by the network, so that every
machine gives the same answer. Private suffixes count: two blogs on one blogging host are two sites.
"""

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import tldextract

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_extractor = tldextract.TLDExtract(
    cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True, include_psl_private_domains=True
)


def clean_uri(uri: str) -> str:
    """A record's target URI as an address: no `<...>` around it (as wget writes), no blanks, nothing that is not
    Unicode text."""
    uri = uri.strip().removeprefix("<").removesuffix(">").strip()
    uri = _SPACE_OR_CONTROL.sub(lambda found: f"%{ord(found.group()):02X}", uri)
    return uri.encode("utf-8", "replace").decode()


def canonical_url(url: str) -> str:
    """One spelling for addresses that mean the same page (RFC 3986, section 6.2): scheme and host in lower case, no
    default port, no fragment, no credentials, percent-escapes in upper case and only where needed, path never empty.

    An address that cannot be parsed is returned as it is.
    """
    parts = _split(url)
    if parts is None or not parts.hostname:
        return url
    name = parts.hostname.rstrip(".")
    if ":" in name:
        name = f"[{name}]"
    try:
        if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
            name = f"{name}:{parts.port}"
    except ValueError:  # a port that is no number
        return url
    query = f"?{_escapes(parts.query)}" if parts.query else ""
    return f"{parts.scheme}://{name}{_escapes(parts.path) or '/'}{query}"


def host(url: str) -> str | None:
    """The host in lower case, or None where the address has none."""
    parts = _split(url)
    return (parts.hostname or "").rstrip(".") or None if parts else None


@lru_cache(maxsize=1 << 16)
def registered_domain(name: str) -> str:
    """The domain that someone registered, for a host: `a.b.co.uk` -> `b.co.uk`; an address or unknown suffix is
    returned whole."""
    return _extractor.extract_str(name).top_domain_under_public_suffix or name


def site_of(url: str) -> str | None:
    """The registered domain of an address, or None where it has no host."""
    name = host(url)
    return registered_domain(name) if name else None


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _escapes(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        code = int(found.group()[1:], 16)
        return chr(code) if code in _UNRESERVED else found.group().upper()

    return _PERCENT.sub(one, text)
