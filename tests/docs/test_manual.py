"""The manual says what the program does: it is made from the same tables, and nobody forgot to make it anew."""

import shutil
import subprocess
import tomllib

import pytest

from hermesguard.cli.verbs import VERBS
from hermesguard.config import settings as config
from hermesguard.config import tables
from hermesguard.config.options import OPTIONS
from hermesguard.config.tables import NOTIFY, OFFSITE
from hermesguard.events.catalog import EVENTS
from tools.docs import manual
from tools.docs.manpage import Code, Heading, Page, Terms, Text, man, markdown

PAGES = (manual.commands_page(), manual.configuration_page(), manual.events_page())


@pytest.mark.parametrize("name", manual.files({}))
def test_the_manual_cannot_drift(name):
    text = manual.files(manual.read_samples())[name]
    assert (manual.ROOT / name).read_text("utf-8") == text, "write it anew: python -m tools.docs.manual"


def test_everything_has_its_place():
    headings = [{block.text for block in page.blocks if isinstance(block, Heading)} for page in PAGES]
    assert {verb.name for verb in VERBS} <= headings[0]
    assert {event.name for event in EVENTS} <= headings[2]
    keys = [term for block in PAGES[1].blocks if isinstance(block, Terms) for term, _ in block.entries]
    assert keys == [f"`{option.key}`" for option in (*OPTIONS, *NOTIFY, *OFFSITE)]


def test_every_verb_shows_an_example_and_what_it_prints():
    samples = manual.read_samples()
    blocks = manual.commands_page(samples).blocks
    for verb in VERBS:
        assert Code(verb.example) in blocks
    assert set(samples) >= {"status", "list", "history", "show", "diff", "log"}
    assert all(Code(sample, "text") in blocks for sample in samples.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.name}.{page.section}")
def test_man_reads_it_without_a_warning(page, tmp_path):
    text = man(page, "1.2.3")
    assert text.isascii()
    assert not any(line.startswith("'") for line in text.splitlines())
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    command = ["groff", "-man", "-ww", "-z", "-Tascii"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_both_forms_of_a_page():
    page = Page(
        "x",
        1,
        "it's a `page`",
        [
            Heading("Part"),
            Text("Say `a-b\\c`, or 'not'."),
            Heading("Sub", 2),
            Code(".x -y '~'\n\nz"),
            Terms([("`-n N`", ("One.", "Two."))]),
            Text(".hidden"),
        ],
    )
    assert man(page, "1").splitlines()[2:] == [
        ".SH NAME",
        r"x \- it\(aqs a \fBpage\fR",
        ".SH PART",
        r"Say \fBa\-b\ec\fR, or \(aqnot\(aq.",
        ".SS Sub",
        ".in +4n",
        ".EX",
        r"\&.x \-y \(aq\(ti\(aq",
        "",
        "z",
        ".EE",
        ".in",
        ".TP",
        r"\fB\-n N\fR",
        "One.",
        ".IP",
        "Two.",
        ".PP",
        r"\&.hidden",
    ]
    assert markdown(page, "X").splitlines()[2:] == [
        "# X",
        "",
        "It's a `page`.",
        "",
        "## Part",
        "",
        "Say `a-b\\c`, or 'not'.",
        "",
        "### Sub",
        "",
        "```sh",
        ".x -y '~'",
        "",
        "z",
        "```",
        "",
        "- `-n N`: One.",
        "",
        "  Two.",
        "",
        ".hidden",
    ]


def test_the_installed_configuration_changes_nothing_and_its_lines_are_valid(tmp_path):
    text = manual.default_file()
    assert tomllib.loads(text) == {}
    assert max(map(len, text.splitlines())) <= 120
    lines = [line[1:] for line in text.splitlines() if line.startswith("#") and not line.startswith("# ")]
    assert [line.split(" = ")[0] for line in lines] == [
        option.key for option in (*OPTIONS, *NOTIFY, *OFFSITE)
    ]
    path = tmp_path / "hermesguard.toml"
    path.write_text("\n".join(lines))
    given = config.load({}, {"HOME": "/home/me"}, [path])
    untouched = config.load(
        {"sessions": "/home/me/.hermes/webui/sessions", "store": "/var/lib/hermesguard"},
        {"HOME": "/home/me"},
        [],
    )
    assert given == untouched
    for name in tables.OPTIONS_OF:
        assert tables.load(given, name).values == tables.load(untouched, name).values
