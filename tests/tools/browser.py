"""MLflow's pages in a headless Chromium: the server that `seqexp ui` starts, and what is shown."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1500, 1100

PATIENCE = 40
"""Seconds until a page has to show what is waited for."""

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--window-size={WIDTH},{HEIGHT}",
)


def missing() -> str:
    """What a browser needs and is not here; empty if all is."""
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    try:
        import selenium  # noqa: F401
    except ImportError:
        programs.append("selenium")
    return ", ".join(programs)


@contextmanager
def served(outputs: Path) -> Iterator[str]:
    """The address of MLflow's pages on the store below a folder, as `seqexp ui` serves them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "seqexp", "ui", f"port={port}", f"paths.outputs={outputs}"]
    with (outputs / "ui.log").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        _until(lambda: urllib.request.urlopen(f"{address}/health", timeout=5).status == 200)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 2 * PATIENCE
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        assert time.monotonic() < until, "the server does not answer"
        time.sleep(0.3)


class Browser:
    """A window.

    Args:
        profile: a folder for its settings.
        pictures: a folder for what it has shown.
    """

    def __init__(self, profile: Path, pictures: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        service = Service(str(shutil.which("chromedriver")))
        self.driver: Any = webdriver.Chrome(options=options, service=service)
        self.pictures = pictures

    def open(self, address: str, *texts: str) -> str:
        """Go to a page, and wait until it shows all these texts; returns its text."""
        self.driver.get("about:blank")  # another hash of the same page would not load it anew
        self.driver.get(address)
        shown = self.wait(*texts)
        self.click("[data-component-id='mlflow.assistant.chat_panel.close']")  # it hides a quarter
        return shown

    def wait(self, *texts: str) -> str:
        """Until the page shows all these texts; returns its text."""
        until, shown = time.monotonic() + PATIENCE, ""
        while time.monotonic() < until:
            shown = self.text()
            if all(text in shown for text in texts):
                return shown
            time.sleep(0.2)
        self.picture("missing")
        lost = [text for text in texts if text not in shown]
        raise AssertionError(f"the page has no {lost}; it says:\n{shown}")

    def text(self) -> str:
        """What can be read on the page."""
        return str(self.driver.execute_script("return document.body.innerText"))

    def click(self, selector: str) -> bool:
        """Click on the first element that a CSS selector finds; false if there is none."""
        found = "const found = document.querySelector(arguments[0]); if (found) found.click();"
        return bool(self.driver.execute_script(f"{found} return found !== null", selector))

    def scroll_to(self, text: str) -> None:
        """Bring what begins with a text into view: what is below is not drawn before."""
        found = "[...document.querySelectorAll('*')].filter(e => e.children.length < 3 &&"
        found += " e.textContent.trim().startsWith(arguments[0])).at(-1)"
        self.driver.execute_script(f"{found}.scrollIntoView()", text)

    def hide(self, text: str) -> None:
        """Leave out of a picture what begins with a text."""
        found = "[...document.querySelectorAll('*')].filter(e => e.children.length < 3 &&"
        found += " e.textContent.trim().startsWith(arguments[0]))"
        self.driver.execute_script(f"{found}.forEach(e => e.style.visibility = 'hidden')", text)

    def count(self, selector: str) -> int:
        """How many elements a CSS selector finds, once there is one."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            script = "return document.querySelectorAll(arguments[0]).length"
            if found := int(self.driver.execute_script(script, selector)):
                return found
            time.sleep(0.2)
        return 0

    def cut_heads(self) -> list[str]:
        """Heads of columns in view that have no room for their text."""
        heads = ".ag-header-cell-text, .ag-header-cell [class*='abel']"
        found = f'[...document.querySelectorAll("{heads}")]'
        found += ".filter(e => e.scrollWidth > e.offsetWidth + 1).map(e => e.innerText)"
        return [str(text) for text in self.driver.execute_script(f"return {found}")]

    def picture(self, name: str) -> Path:
        """Keep what is shown now, when it has come to rest."""
        before, now = b"", self.driver.get_screenshot_as_png()
        until = time.monotonic() + 10
        while before != now and time.monotonic() < until:
            time.sleep(0.7)
            before, now = now, self.driver.get_screenshot_as_png()
        file = self.pictures / f"{name}.png"
        file.write_bytes(now)
        return file
