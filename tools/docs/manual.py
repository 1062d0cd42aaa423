"""The manual, made from the verbs, the options and the events: `python -m tools.docs.manual` writes all of it anew.

Nothing that is explained here is explained a second time elsewhere, so the pages cannot drift from the program.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from hermesguard import __version__
from hermesguard.cli.parser import DESCRIPTION, EXIT_CODES, build
from hermesguard.cli.verbs import VERBS, Verb
from hermesguard.config.options import OPTIONS, Option
from hermesguard.config.tables import NOTIFY, OFFSITE
from hermesguard.config.units import DURATION_FORM, SIZE_FORM
from hermesguard.events.catalog import EVENTS, FIELDS
from hermesguard.events.event import Event, paragraphs
from hermesguard.events.journald import journal_field
from tools.docs.journal_recipes import RECIPES
from tools.docs.manpage import Block, Code, Heading, Page, Terms, Text, man, markdown

ROOT: Final = Path(__file__).parents[2]
_SEE_ALSO: Final = (
    "`hermesguard(1)`, `hermesguard.toml(5)`, `hermesguard(7)`, `journalctl(1)`, `systemd.journal-fields(7)`"
)
_FILES_IN_ORDER: Final = (
    "`/etc/hermesguard/hermesguard.toml`, then `$XDG_CONFIG_HOME/hermesguard/config.toml` "
    "(`~/.config/hermesguard/config.toml` where that variable is not set)"
)

_NAMES: Final = (
    (
        "`SID`",
        (
            (
                "A session: its id, the start of its id if no other begins so, or words of its title. If nothing fits, the three "
                "nearest are named; if several fit, they are listed."
            ),
        ),
    ),
    (
        "`@VERSION`",
        (
            (
                "A copy of it. `@latest` is the newest good copy, `@live` the file of hermes-webui itself. `@-1` is the "
                "newest version in the history, `@-2` the one before it. A time such as `@2026-11-22T10:00` or `@10:00` (your "
                "clock, if it names no zone) is what was the newest good copy then. The names that `hermesguard history SID` "
                "shows are versions too, and may be shortened."
            ),
        ),
    ),
    ("`INCIDENT`", ("The number of an incident, as `hermesguard log` shows it, with or without a `#`.",)),
)

_VARIABLES: Final = (
    ("`HERMESGUARD_CONFIG`", ("Read this configuration file and no other, as `--config` does.",)),
    (
        "`HERMESGUARD_KEY`",
        (
            "Each key of `hermesguard.toml(5)` in capitals, as in `HERMESGUARD_STORE`: wins over the file, yields to a flag.",
        ),
    ),
    (
        "`HERMESGUARD_LOG`",
        ("Where `run` and `scan` report: `auto`, `journal`, `json`, `text` or `quiet`.",),
    ),
    (
        "`HERMESGUARD_LOG_LEVEL`",
        (
            "The least priority that is reported: `debug`, `info` (the default), `notice`, `warning` and so on.",
        ),
    ),
    ("`HERMESGUARD_DEBUG`", ("When set, an unexpected error shows its traceback.",)),
    ("`NO_COLOR`", ("When set, no colours. There are none but on a terminal anyhow.",)),
    (
        "`COLUMNS`",
        ("How wide the output may be; by default as wide as the terminal, and without limit elsewhere.",),
    ),
    ("`PAGER`", ("What shows a conversation that is longer than the terminal; by default `less`.",)),
    (
        "`HERMES_WEBUI_STATE_DIR`, `HERMES_HOME`, `STATE_DIRECTORY`, `XDG_STATE_HOME`, `XDG_CONFIG_HOME`",
        ("Where things are, when nothing else says it: see `hermesguard.toml(5)`.",),
    ),
)


def commands_page(samples: Mapping[str, str] | None = None) -> Page:
    """Return hermesguard(1); with `samples`, by verb, what the command prints."""
    return Page(
        "hermesguard",
        1,
        "keep the conversations of hermes-webui from being lost",
        list(_commands(samples or {})),
    )


def _commands(samples: Mapping[str, str]) -> Iterator[Block]:
    parser = build()
    parsers = _verb_parsers(parser)
    yield Heading("Synopsis")
    yield Text(
        "`hermesguard` [`--sessions DIR`] [`--profile NAME`] [`--store DIR`] [`--config FILE`] COMMAND [ARGUMENTS]"
    )
    yield Heading("Description")
    yield Text(
        f"{DESCRIPTION} It watches the directory in which hermes-webui keeps its sessions, keeps a copy of every session, "
        "sees within milliseconds when a write destroys messages, repairs the file, and reports to the journal. "
        "`hermesguard run` does that; the other commands show what is there, what happened, and go back."
    )
    yield Text(
        "What is data goes to the standard output, what is talk to the standard error. `--json` prints one object, which "
        "docs/json.md describes; `--dry-run` says what would be done and does nothing."
    )
    yield Heading("Naming things")
    yield Terms(_NAMES)
    yield Heading("Paths")
    yield Terms(
        [entry for group in parser._action_groups if group.title == "places" for entry in _arguments(group)]
    )
    yield Heading("Commands")
    for verb in VERBS:
        yield from _verb(verb, parsers[verb.name], samples.get(verb.name, ""))
    yield Heading("Exit status")
    yield Terms([(f"`{code}`", (meaning,)) for code, meaning in EXIT_CODES])
    yield Heading("Environment")
    yield Terms(_VARIABLES)
    yield Heading("Files")
    yield Terms(
        [
            (_FILES_IN_ORDER, ("The configuration: see `hermesguard.toml(5)`.",)),
            (
                "`STORE/shadows/SID.json`",
                (
                    "The newest good copy of each session, byte for byte; while saves come fast with its delta log `SID.delta`.",
                ),
            ),
            (
                "`STORE/history/SID/TIME-MESSAGES-REASON-DIGEST.json.gz`",
                ("Older copies: each from before something was taken away, and what repairs put aside.",),
            ),
            ("`STORE/incidents.jsonl`", ("What happened, a line for each incident.",)),
            (
                "`STORE/directories/NAME/`",
                (
                    "The same of each further sessions directory, as those of profiles; the first one's is the store itself.",
                ),
            ),
        ]
    )
    yield Heading("See also")
    yield Text(_SEE_ALSO)


def _verb_parsers(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next(dict(it.choices) for it in parser._actions if isinstance(it, argparse._SubParsersAction))


def _verb(verb: Verb, parser: argparse.ArgumentParser, sample: str) -> Iterator[Block]:
    places = {"help", "sessions", "profile", "store", "config"}
    actions = [action for action in parser._actions if action.dest not in places or not action.option_strings]
    is_short = len(actions) < 12
    yield Heading(verb.name, 2)
    yield Text(
        " ".join((f"`hermesguard {verb.name}`", *(map(_usage, actions) if is_short else ("[FLAGS]",))))
    )
    yield Text(verb.description)
    if is_short:
        yield from [Terms([_argument(action) for action in actions])] if actions else []
    else:
        keys = {option.key for option in OPTIONS}
        if any(one.dest in keys for one in actions):
            yield Text(
                "The keys of `hermesguard.toml(5)` that the guard reads are flags of this command too: `--keep-history 90d`."
            )
        others = [one for one in actions if one.dest not in keys and one.help != argparse.SUPPRESS]
        yield from [Terms([_argument(action) for action in others])] if others else []
    yield Code(verb.example)
    if sample:
        yield Text("What it prints, after `hermesguard demo`:")
        yield Code(sample, "text")


def _usage(action: argparse.Action) -> str:
    value = action.metavar or "|".join(map(str, action.choices or ()))
    if action.option_strings:
        inner = action.option_strings[-1] + (f" {value}" if action.nargs != 0 else "")
        return f"[{inner}]"
    if action.nargs == "*":
        return f"[{value} ...]"
    return f"[{value}]" if action.nargs == "?" else str(value)


def _argument(action: argparse.Action) -> tuple[str, tuple[str, ...]]:
    value = action.metavar or "|".join(map(str, action.choices or ()))
    names = [f"`{name}{f' {value}' if action.nargs != 0 else ''}`" for name in action.option_strings] or [
        f"`{value}`"
    ]
    words = (action.help or "").replace("%%", "%")
    is_address = "://" in words.partition(" ")[0]
    return ", ".join(names), (f"{words if is_address else words[:1].upper() + words[1:]}.",)


def _arguments(group: argparse._ArgumentGroup) -> list[tuple[str, tuple[str, ...]]]:
    return [_argument(action) for action in group._group_actions]


# hermesguard.toml(5).


def configuration_page() -> Page:
    """Return hermesguard.toml(5)."""
    return Page("hermesguard.toml", 5, "the configuration of hermesguard", list(_configuration()))


def _configuration() -> Iterator[Block]:
    yield Heading("Synopsis")
    yield Text("`/etc/hermesguard/hermesguard.toml`, `$XDG_CONFIG_HOME/hermesguard/config.toml`")
    yield Heading("Description")
    yield Text(
        f"Files in TOML, all of whose keys may be left out. Those that are there are read in this order, later ones win: "
        f"{_FILES_IN_ORDER}. A file that is named by `--config` or `HERMESGUARD_CONFIG` is read instead of both, and must be "
        "there. A flag wins over the environment, the environment over the files: the key `keep_history` is the flag "
        "`--keep-history` of `hermesguard run` and the variable `HERMESGUARD_KEEP_HISTORY`."
    )
    yield Text(
        "A key that is not known is an error, and so is an invalid value: nothing is guessed. "
        "`hermesguard config check` says whether the files are right, `hermesguard config show` prints every value and where it "
        "comes from."
    )
    yield Text(f"Times are {_quoted_as_code(DURATION_FORM)}. Sizes are {_quoted_as_code(SIZE_FORM)}.")
    yield Heading("Keys")
    yield Terms([_key(option) for option in OPTIONS])
    yield Heading("Keys of hermesguard notify")
    yield Text(
        "They may be written as lines of their own, as here, or without `notify.` below a line `[notify]` at the end of the "
        "file. The guard does not read them. `HERMESGUARD_NOTIFY_URLS` and the like are their variables; they have no flags."
    )
    yield Terms([_key(option) for option in NOTIFY])
    yield Heading("Keys of hermesguard offsite")
    yield Text(
        "Written as those of notify. `HERMESGUARD_OFFSITE_URL` and the like are their variables; `hermesguard offsite` has flags "
        "for `url`, `endpoint`, `region` and `credentials`. Its state lies beside the store, in `<store>.offsite`, or where "
        "`HERMESGUARD_OFFSITE_STATE` says."
    )
    yield Terms([_key(option) for option in OFFSITE])
    yield Heading("Reloading")
    yield Text(
        "SIGHUP (`systemctl reload hermesguard`) has the guard read the same files again. If one of them is wrong, it says so "
        "in the journal (event `config_invalid`) and goes on as before. `sessions` and `store` cannot change while it runs."
    )
    yield Heading("Example")
    yield Code(
        'keep_history = "90d"\nmax_store_bytes = "20GiB"\nalert_command = ["mail", "-s", "hermesguard", "root"]',
        "toml",
    )
    yield Heading("See also")
    yield Text(_SEE_ALSO)


def _quoted_as_code(text: str) -> str:
    return re.sub(r'("[^"]*")', r"`\1`", text)


def _key(option: Option) -> tuple[str, tuple[str, ...]]:
    allowed = f"{option.kind.allowed[:1].upper()}{option.kind.allowed[1:]}."
    default = option.default if option.field == "store" else f"`{option.default}`"
    return f"`{option.key}`", (
        option.meaning,
        f"{_quoted_as_code(allowed)} Default: {default}. Example: `{option.key} = {option.example}`",
    )


def default_file() -> str:
    """Return the configuration file with every key as a comment, as packages install it."""
    lines = [
        "# The configuration of hermesguard: see hermesguard.toml(5). Every key is shown with its default; to",
        "# change one, remove the # before it and write another value. Then: hermesguard config check",
        "# and: systemctl reload hermesguard",
        "",
    ]
    for option in (*OPTIONS, *NOTIFY, *OFFSITE):
        lines += [f"# {line}" for line in _filled(option.meaning, 116)]
        lines += [f"# {line}" for line in _filled(f"Allowed: {option.kind.allowed}.", 116)]
        if option.field == "store":
            lines += [f"# {line}" for line in _filled(f"By default {option.default}.", 116)]
            lines += [f"#{option.key} = {option.example}", ""]
        else:
            lines += [f"#{option.key} = {option.default}", ""]
    return "\n".join(lines)


def _filled(text: str, columns: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)


# hermesguard(7).


def events_page() -> Page:
    """Return hermesguard(7)."""
    return Page("hermesguard", 7, "the events of hermesguard in the journal", list(_events()))


def _events() -> Iterator[Block]:
    yield Heading("Description")
    yield Text(
        "Every event has a constant `MESSAGE_ID`. Make alerts of these ids, never of the words of a message: the words may "
        "change, an id never does. `journalctl -x` prints below each entry what it means and what to do, and so does "
        "`hermesguard explain EVENT`. No entry holds text of a conversation, or a title."
    )
    yield Text(
        "Every entry has `SYSLOG_IDENTIFIER=hermesguard`, `HERMESGUARD_EVENT` (the name below), and `HERMESGUARD_TIME`: when "
        "it happened, in UTC. Any local user can write an entry that carries one of our ids; `_SYSTEMD_UNIT` and the other "
        "fields with a leading underscore cannot be forged, so recipes for alerts match the unit too."
    )
    yield Heading("Events")
    for event in EVENTS:
        yield from _event(event)
    yield Heading("Fields")
    yield Terms(
        [(f"`{journal_field(name)}`", (f"{_sentence(field.meaning)}",)) for name, field in FIELDS.items()]
    )
    yield Heading("Recipes")
    for recipe in RECIPES:
        yield Heading(recipe.title, 2)
        if recipe.text:
            yield Text(" ".join(recipe.text.split()))
        if recipe.command:
            yield Code(recipe.command)
    yield Heading("See also")
    yield Text(_SEE_ALSO)


def _event(event: Event) -> Iterator[Block]:
    yield Heading(event.name, 2)
    yield Text(
        f"{event.title}. Priority {event.priority:d} ({event.priority.name.lower()}), `MESSAGE_ID={event.message_id}`."
    )
    for paragraph in paragraphs(event, {}):
        yield Text(paragraph)
    if event.fields:
        yield Text("Fields: " + ", ".join(f"`{journal_field(name)}`" for name in event.fields) + ".")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


# Files.


def files(samples: Mapping[str, str]) -> dict[str, str]:
    """Return everything that is generated here, by its path in the source tree."""
    pages = (commands_page(), configuration_page(), events_page())
    return {
        **{f"packaging/man/{page.name}.{page.section}": man(page, __version__) for page in pages},
        "packaging/hermesguard.toml": default_file(),
        "docs/commands.md": markdown(commands_page(samples), "What people type"),
        "docs/configuration.md": markdown(configuration_page(), "The configuration"),
    }


def read_samples(root: Path = ROOT) -> dict[str, str]:
    """Return what commands print at 80 columns, by verb, as the tests keep it; empty outside of the source tree."""
    found = {}
    for verb in VERBS:
        path = root / "tests/golden" / f"{verb.name}.txt"
        if path.is_file():
            command, _, rest = path.read_text("utf-8").partition("\n\n=== at 80 columns\n")
            found[verb.name] = f"{command}\n{rest.partition('--- exit code')[0]}".rstrip()
    return found


def main() -> None:
    """Write all of it into the source tree."""
    for name, text in files(read_samples()).items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
