"""The application's side of a pod: writes sessions below /webui as it is told on the standard input, and says their ids."""

import sys
from pathlib import Path

from hermesguard.demo import losses
from hermesguard.demo.app import App
from hermesguard.demo.eras import Era

app = App(Path("/webui/sessions"), Era.OLD)
chat = app.create(turns=500)
for line in sys.stdin:
    match line.strip():
        case "send":
            chat.send("What was that about?")
        case "wipe":
            losses.wipe(chat)
        case other:
            raise SystemExit(f"{other}?")
    print(chat.session_id, flush=True)
