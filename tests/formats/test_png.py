"""PNG files: values from 0 to 1 whatever the mode, and what is wrong is named with the file."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_pictures import png

from seqexp.errors import InputError
from seqexp.formats.png import read_png

GREYS = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", **options)
    return file.getvalue()


def test_grey_values_go_from_0_to_1() -> None:
    picture = read_png(png(GREYS), "a.png")
    assert picture.shape == (2, 3, 1) and picture.dtype == np.float32
    np.testing.assert_allclose(picture[..., 0], [[0, 0.2, 0.4], [0.6, 0.8, 1]], atol=1e-6)


def test_values_of_16_bits_and_of_1_bit_have_the_same_range() -> None:
    deep = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert read_png(saved(deep), "a.png")[0, :, 0].tolist() == [0, 1]
    assert read_png(saved(Image.new("1", (2, 1), 1)), "a.png")[0, :, 0].tolist() == [1, 1]


def test_colours_are_red_green_and_blue_with_and_without_a_palette() -> None:
    image = Image.new("RGB", (2, 1), (255, 0, 0))
    image.putpixel((1, 0), (0, 0, 255))
    expected = [[[1, 0, 0], [0, 0, 1]]]
    assert read_png(saved(image), "a.png").tolist() == expected
    assert read_png(saved(image.quantize(4)), "a.png").tolist() == expected


def test_a_picture_is_scaled_to_the_mean_of_its_pixels() -> None:
    picture = read_png(png([[0, 255, 255, 255]] * 2), "a.png", (1, 2))
    np.testing.assert_allclose(picture[..., 0], [[0.5, 1]], atol=1 / 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_only_a_picture_that_hides_nothing_may_have_alpha(mode: str) -> None:
    opaque = Image.new(mode, (2, 2), (255,) * len(mode))
    assert read_png(saved(opaque), "a.png").min() == 1
    with pytest.raises(InputError, match=r"b\.png: is transparent in parts; save it without"):
        read_png(saved(Image.new(mode, (2, 2), 0)), "b.png")


def test_a_transparent_colour_counts_too() -> None:
    with pytest.raises(InputError, match=r"a\.png: is transparent"):
        read_png(saved(Image.new("L", (2, 2), 7), transparency=7), "a.png")


def test_a_picture_that_claims_very_many_pixels_is_refused_before_it_is_unpacked() -> None:
    header = struct.pack(">II5B", 10**5, 10**5, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    content += png(GREYS)[-12:]
    with pytest.raises(InputError, match=r"a\.png: has 100000 x 100000 pixels; 1 to 4,194,304"):
        read_png(content, "a.png")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xff\xd8\xff\xe0", "is no PNG file but JPEG; save the picture as PNG"),
        (b"hello", "is no PNG file; save"),
        (png(GREYS)[:20], r"is damaged \(it is cut off\)"),
        (png(GREYS)[:-20], "is damaged"),
    ],
)
def test_what_is_no_sound_png_is_named(content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=rf"images/7\.png: {says}"):
        read_png(content, "images/7.png")


def test_damage_anywhere_is_noticed() -> None:
    sound = png(np.arange(60).reshape(4, 5, 3))
    draw = random.Random(0)
    for _ in range(300):
        content = bytearray(sound)
        place = draw.randrange(len(content))
        content[place] = (content[place] + draw.randrange(1, 256)) % 256
        with pytest.raises(InputError, match=r"^a\.png: "):
            read_png(bytes(content[: draw.choice([-1, None])]), "a.png")
