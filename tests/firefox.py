"""Firefox without a screen, by WebDriver BiDi, which it speaks itself. Playwright only drives builds of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tornado.websocket import websocket_connect

FIREFOX = next((found for name in ("firefox-esr", "firefox") if (found := shutil.which(name))), "")
START_SECONDS = 60.0


async def _connected(port):
    return await websocket_connect(f"ws://127.0.0.1:{port}/session", max_message_size=1 << 28)


async def _sent(connection, message):
    await connection.write_message(json.dumps(message))


async def _received(connection):
    return await connection.read_message()


class Firefox:
    """A browser with one page. Use it as a context manager."""

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.downloads = Path(self._profile.name) / "downloads"
        preferences = {
            "browser.download.folderList": 2,
            "browser.download.dir": str(self.downloads),
            "browser.helperApps.neverAsk.saveToDisk": "application/json",
            "browser.download.always_ask_before_handling_new_types": False,
            "browser.shell.checkDefaultBrowser": False,
            "datareporting.policy.dataSubmissionEnabled": False,
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
        (Path(self._profile.name) / "user.js").write_text("\n".join(lines))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [FIREFOX, "--headless", "--no-remote", "--profile", self._profile.name]
        self._process = subprocess.Popen(
            [*command, f"--remote-debugging-port={port}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self._socket = self._await(_connected(port))
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        self._number = 0
        self._command("session.new", capabilities={})
        self._page = self._command("browsingContext.getTree")["contexts"][0]["context"]
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._profile.cleanup()

    def _await(self, work):
        """Wait for work of the loop, which has a thread of its own: Playwright has one running in this."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    def _command(self, method, **parameters):
        self._number += 1
        self._await(_sent(self._socket, {"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._await(_received(self._socket)))
            if answer.get("id") == self._number:
                if answer["type"] != "success":
                    raise RuntimeError(f"{method}: {answer.get('message')}")
                return answer["result"]

    def open(self, path):
        """Load a file, and wait until it is shown."""
        self._command("browsingContext.navigate", context=self._page, url=path.resolve().as_uri(), wait="complete")

    def run(self, script):
        """Return what an expression of JavaScript gives, as JSON can hold it."""
        found = self._command(
            "script.evaluate",
            expression=f"JSON.stringify({script})",
            target={"context": self._page},
            awaitPromise=True,
            userActivation=True,
        )
        if found["type"] != "success":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return json.loads(found["result"].get("value", "null"))

    def press(self, key):
        """Press a key where the focus is."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._command(
            "input.performActions", context=self._page, actions=[{"type": "key", "id": "keys", "actions": actions}]
        )
