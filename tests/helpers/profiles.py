"""A home with profiles, in the layout of hermes-agent, and one guard of all of them."""

import json
from pathlib import Path
from typing import Any

from hermesguard.demo.app import App
from hermesguard.demo.chat import Chat
from hermesguard.demo.eras import Era
from tests.helpers.daemon_process import Daemon, hermesguard


class Home:
    """`root` is the home of a user; the store lies in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.apps: dict[str, App] = {}

    def sessions(self, name: str = "default") -> Path:
        home = self.root / ".hermes"
        return (home if name == "default" else home / "profiles" / name) / "webui" / "sessions"

    def app(self, name: str = "default") -> App:
        """hermes-webui of a profile; its directory comes into being with it."""
        if name not in self.apps:
            seed = sum(name.encode())
            self.apps[name] = App(self.sessions(name), Era.OLD, seed=seed)
        return self.apps[name]

    def chat(self, name: str = "default", **more: Any) -> Chat:
        return self.app(name).create(f"Title of {name}", turns=4, **more)

    def daemon(self, *flags: str, **more: Any) -> Daemon:
        given = flags or ("--scan-interval", "200ms")
        return Daemon(self.root, *given, store=self.store, names_sessions=False, **more)

    def part(self, name: str) -> Path:
        return self.store if name == "default" else self.store / "directories" / name

    def shadow(self, name: str, chat: Chat) -> Path:
        return self.part(name) / "shadows" / f"{chat.session_id}.json"

    def run(self, *words: str) -> str:
        """What a command of this user on this store prints, whether it found something wrong or not."""
        done = hermesguard(self.root, *words, "--store", self.store)
        return done.stdout + done.stderr

    def json(self, *words: str) -> dict[str, Any]:
        done = hermesguard(self.root, *words, "--json", "--store", self.store)
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def directories(self) -> dict[str, dict[str, Any]]:
        """By name: what `status` says of each directory."""
        return {one["name"]: one for one in self.json("status")["directories"]}


def messages(chat: Chat) -> int:
    return len(json.loads(chat.path.read_bytes())["messages"])
