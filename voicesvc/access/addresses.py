"""Addresses: which host is this machine, and from where something may be fetched."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def flaw(url: str, *, near: bool) -> str | None:
    """Why nothing is fetched from there; None where it may be.

    It is https, or http on this machine where that is `near`: where who names it is there, too.
    """
    if any(c <= " " or c > "~" for c in url):
        return "it has characters that no address has"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "it is no address"
    if not host or port == 0:
        return "it names no host"
    if parts.username is not None or parts.fragment:
        return "it has more than a host, a path and a query"
    if parts.scheme == "https" or (parts.scheme == "http" and near and is_loopback(host)):
        return None
    return "it is not https"
