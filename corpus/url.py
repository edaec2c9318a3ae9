"""Where a page lives: its address in one spelling, the key by which it is looked up, its host and registered domain.

Three forms of an address, each for one need:

- `canonical_url`: one spelling of RFC 3986, still an address that can be fetched.
- `url_key`, `url_keys`: what two addresses of one page have in common. Lists, takedown rules and lookups compare these.
- `raw_url_keys`: the same without the canonical spelling first. URL duplicates are judged by it, its hashes are stored.

Sites are told apart by the public suffix list that ships inside tldextract, never by the network, so that every
machine gives the same answer. Private suffixes count: two blogs on one blogging host are two sites.
"""

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
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


def url_key(url: str) -> str:
    """The key of one address; `url_keys` says what that is."""
    return url_keys(pa.array([url], pa.string()))[0].as_py() or url


def url_keys(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The key of each address of a column (string; null of null): its canonical form without scheme, leading `www.`,
    port 80 or 443, and slashes at the end of the path. An address may lack its scheme.
    """
    whole = (url if url is None or "://" in url else f"http://{url}" for url in urls.to_pylist())
    return raw_url_keys(pa.array([url and canonical_url(url) for url in whole], pa.string()))


def raw_url_keys(urls: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The key of each address, without a canonical spelling first: credentials and percent-escapes are left as they
    are written, and so are addresses that cannot be parsed. Of a canonical address this is its `url_key`.
    """
    split = pc.extract_regex(
        pc.replace_substring_regex(urls, r"#.*$", ""),
        r"^(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?P<host>[^/?]*)(?P<path>[^?]*)(?P<query>.*)$",
    )
    host = pc.utf8_lower(pc.struct_field(split, "host"))
    host = pc.replace_substring_regex(pc.replace_substring_regex(host, r":(80|443)$", ""), r"^www\.", "")
    path = pc.replace_substring_regex(pc.struct_field(split, "path"), r"/+$", "")
    return pc.binary_join_element_wise(host, path, pc.struct_field(split, "query"), "")


def url_spellings(url: str) -> list[str]:
    """Addresses with the key of this one that a crawl may have written, sorted: with http or https, with `www.` or
    without, with a slash at the end of the path or without, as it is given and canonical."""
    found = {url, canonical_url(url)}
    for key in (url_key(url), raw_url_keys(pa.array([url]))[0].as_py()):
        address, mark, query = key.partition("?")
        found |= {
            f"{scheme}://{www}{address}{slash}{mark}{query}"
            for scheme in ("http", "https")
            for www in ("", "www.")
            for slash in ("", "/")
        }
    return sorted(found)


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
