"""Types of a rule, which is a plain function of a room's `check.py`.

    def nesterov_needs_momentum(optimizer: Node) -> Faults: ...

`seqexp.config.check` finds each public function there. Its argument names are the groups, or the
keys beside the groups, that it reads; it is asked if all of these are sound by themselves and no
group among them is off.
"""

from collections.abc import Iterator, Mapping
from typing import Any

CONSTANTS = "_constants_"

Node = Mapping[str, Any]
"""A group of the config: values by key, the defaults of the constructor included.

`_target_` names the class or function. `_constants_` holds what the class's source sets to a plain
value, as `recurrent = True`.
"""

Faults = Iterator[str]
"""One message for each way in which the rule is broken."""
