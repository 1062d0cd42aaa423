"""Metrics that a real daemon gives out, and what it does without them."""

import re
import signal
from pathlib import Path

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from tests.helpers.daemon_process import Daemon
from tests.unit.events.test_metrics import families, free_port, scrape, value


def wipe(daemon: Daemon, chat: Chat) -> None:
    chat.send("What was that about?")
    daemon.until_kept(chat.path)
    losses.wipe(chat)


def test_the_daemon_gives_out_what_it_knows_and_a_reload_changes_where(tmp_path: Path) -> None:
    textfile, other, port = tmp_path / "a.prom", tmp_path / "b.prom", free_port()
    configuration = tmp_path / "hermesguard.toml"
    configuration.write_text("scan_interval = '200ms'\n")
    with Daemon(tmp_path, "--config", configuration) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=10)
        daemon.start()
        assert scrape(port) is None

        def use(text: str) -> None:
            configuration.write_text(f"scan_interval = '200ms'\n{text}")
            reloads = len(daemon.heard("reloaded"))
            assert daemon.process
            daemon.process.send_signal(signal.SIGHUP)
            daemon.until(lambda: len(daemon.heard("reloaded")) > reloads)

        use(f"metrics_port = {port}\nmetrics_textfile = '{textfile}'\n")
        daemon.until(lambda: scrape(port) and textfile.exists())
        text = scrape(port) or ""
        assert families(text).keys() == families(textfile.read_text()).keys()
        assert value(text, "hermesguard_sessions") == 1
        assert value(text, "hermesguard_messages") == 20
        assert value(text, "hermesguard_watching") == value(text, "hermesguard_store_writable") == 1
        assert value(text, "hermesguard_repairs_total") == 0
        assert value(text, "hermesguard_last_scan_timestamp_seconds") >= value(
            text, "hermesguard_start_time_seconds"
        )
        wipe(daemon, chat)
        daemon.until_heard("restored")
        daemon.until(lambda: value(scrape(port) or "", "hermesguard_events_total", event="restored") == 1)

        use(f"metrics_textfile = '{other}'\n")
        daemon.until(lambda: other.exists() and not textfile.exists() and scrape(port) is None)
        use("")
        daemon.until(lambda: not other.exists())
        assert not daemon.heard("metrics_failed")


def test_without_metrics_nothing_of_them_is_loaded(tmp_path: Path) -> None:
    with Daemon(tmp_path, environment={"PYTHONPROFILEIMPORTTIME": "1"}) as daemon:
        App(daemon.sessions, Era.OLD).create()
        daemon.start()
        daemon.stop()
        loaded = [line.rsplit("|", 1)[-1].strip() for line in daemon.lines if line.startswith("import time:")]
    assert "hermesguard.daemon.loop" in loaded
    assert not [name for name in loaded if re.match(r"prometheus_client|hermesguard\.(metrics|hooks)", name)]


def test_a_missing_library_is_one_sentence(tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "prometheus_client.py"
    absent.parent.mkdir()
    absent.write_text("raise ModuleNotFoundError(\"No module named 'prometheus_client'\")\n")
    flags = ("--metrics-port", str(free_port()), "--metrics-textfile", tmp_path / "hermesguard.prom")
    with Daemon(tmp_path, *flags, environment={"PYTHONPATH": str(absent.parent)}) as daemon:
        chat = App(daemon.sessions, Era.OLD).create(turns=10)
        daemon.start()
        reported = daemon.until_heard("metrics_failed")
        assert reported["message"] == (
            "Metrics cannot be published: No module named 'prometheus_client' (prometheus-client). "
            "Install it: pip install 'prometheus-client>=0.20'."
        )
        wipe(daemon, chat)
        daemon.until_heard("restored")
        daemon.stop()
        assert len(daemon.heard("metrics_failed")) == 1
        assert not [line for line in daemon.lines if "Traceback" in line]
