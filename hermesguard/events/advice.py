"""The advice of an event as paragraphs: the catalogue breaks its lines where the journal's readers want them."""

from typing import Final

from hermesguard.events.event import Event, Value

# The catalogue's authors break sentences near column 110; a line that ends long before that ends on purpose.
_BROKEN_COLUMNS: Final = 90


def paragraphs(event: Event, values: dict[str, Value]) -> list[str]:
    """Return the advice of `event` about `values`, sentences in one piece, commands on lines of their own."""
    found: list[str] = []
    goes_on = False
    for template, line in zip(event.advice.splitlines(), event.guidance(values).splitlines(), strict=True):
        if goes_on:
            found[-1] += " " + line
        else:
            found.append(line)
        goes_on = len(template) >= _BROKEN_COLUMNS and not template.endswith((".", ":"))
    return found
