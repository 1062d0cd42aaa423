"""What can be an address on the web: a mistake in one is to be a sentence at the start, and not a failure at night."""

from urllib.parse import urlsplit

_LONGEST = 2000


def is_web_address(text: object, with_user: bool = True) -> bool:
    """Return whether `text` is an address that begins with http:// or https://, and whose host and port can be ones."""
    if not isinstance(text, str) or not text.startswith(("http://", "https://")) or len(text) > _LONGEST:
        return False
    if not (text.isprintable() and " " not in text):
        return False
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port  # ValueError when it is none
        if not host or ("@" in parts.netloc and not with_user):
            return False
        if ":" not in host:
            host.encode("idna")
    except ValueError:  # UnicodeError is one
        return False
    return "\\" not in parts.netloc and "%" not in host
