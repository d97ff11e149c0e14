"""Who may be served without a key, and where: the rule that keeps a service from being open to a
network by oversight. Used by the api, and by the embedded service before it starts one."""

import ipaddress
import socket

from facematch.errors import Misconfigured
from facematch.keys import Keys
from facematch.settings import PREFIX, Settings


def check_guarded(host: str, keys: Keys, settings: Settings, create: str) -> None:
    """Raise Misconfigured for a service that would be open to more than this machine.

    `host`: the address it is to listen on. `create`: the command that makes a key. Once there was
    a key, callers are asked for one; before, only this machine is served. Raises Unavailable.
    """
    if settings.guarded_elsewhere or only_this_machine(host) or keys.exist():
        return
    raise Misconfigured(
        f"it would listen on {host}, where others than this machine reach it, and there is no API"
        f" key to ask them for. Make one: {create} (or listen on 127.0.0.1; or, where something"
        f" before it asks who comes, set {PREFIX}GUARDED_ELSEWHERE=true)"
    )


def only_this_machine(host: str) -> bool:
    """Whether every address that the name stands for is one of loopback; not for no address."""
    try:
        found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = {str(address[0]).partition("%")[0] for *_, address in found}
    return bool(host) and all(ipaddress.ip_address(one).is_loopback for one in addresses)
