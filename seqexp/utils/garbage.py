"""Pauses Python's garbage collector while a command imports its modules.

Imports leave hardly any garbage, but a third of the time of `import torch` goes into looking for
it, some of that when the process ends.
"""

import atexit
import gc

_is_paused = False


def pause() -> None:
    """Collect no garbage until `resume`: for the first line of a command, and not for a library."""
    global _is_paused
    if gc.isenabled():
        _is_paused = True
        gc.disable()
        atexit.register(gc.freeze)  # the system takes the memory back: nothing has to be looked at


def resume() -> None:
    """Collect garbage again, but not among what is there now; nothing where nothing was paused."""
    global _is_paused
    if _is_paused:
        _is_paused = False
        gc.freeze()
        gc.enable()
