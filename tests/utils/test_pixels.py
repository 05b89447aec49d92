"""Names of features that tell a picture."""

import pytest

from seqexp.utils.pixels import channels_of, pixel_names


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("columns", [1, 3, 20])
def test_names_tell_the_channels_that_they_were_made_of(columns: int, channels: int) -> None:
    names = pixel_names(columns, channels)
    assert len(set(names)) == len(names) == columns * channels
    assert channels_of(names) == channels


@pytest.mark.parametrize("names", [(), ("x", "y", "z"), ("1.grey",), ("0.red", "0.green")])
def test_other_features_are_no_picture(names: tuple[str, ...]) -> None:
    assert channels_of(names) is None
