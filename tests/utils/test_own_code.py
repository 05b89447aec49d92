"""Errors of a user's own code name the line of that code."""

import json

import numpy as np
import pytest

from seqexp.errors import InputError
from seqexp.utils.own_code import blamed


def mine(values: object) -> object:
    return np.ones(2) + values if isinstance(values, list) else json.loads(str(values))


@pytest.mark.parametrize("given", [[1, 2, 3], "{"])
def test_an_error_within_a_library_names_the_line_that_called_it(given: object) -> None:
    with pytest.raises(InputError) as caught, blamed("metrics.cost (my_lab.cost)"):
        mine(given)
    assert str(caught.value).startswith("metrics.cost (my_lab.cost) raises ")
    assert f"({__file__}, line {mine.__code__.co_firstlineno + 1})" in str(caught.value)
