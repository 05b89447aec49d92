"""Pictures, as sequences of rows, to sequences of patches: a small convolution with pooling."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.ranges import Size
from seqexp.spec import Features, Input, is_real
from seqexp.utils.pixels import channels_of

PictureWidth = Annotated[int, Interval(ge=1, le=15)]
PictureLayers = Annotated[int, Interval(ge=1, le=8)]
Channels = Annotated[int, Interval(ge=1, le=64)]


@dataclass(frozen=True)
class PictureConvolution:
    """Layers of 2-D convolution over a context that is a picture.

    A picture is a sequence of rows; the features of a row are its columns, of each all channels
    side by side.

    Args:
        filters: of the first layer, twice as many in each one above; None is no convolution.
        width: rows and columns that a filter sees at once.
        layers: on top of each other; each halves rows and columns.
        channels: numbers of each point of the picture: 1 of grey, 3 of red, green and blue; None is
            what the names of the features tell, else 1.
    """

    filters: Size | None = None
    width: PictureWidth = 3
    layers: PictureLayers = 2
    channels: Channels | None = None


class Patches(nn.Module):
    """Rows of a picture to its patches, row by row: convolution, ReLU, maximum of 2 x 2, repeated.

    Source: LeCun et al. (1998), fig. 2, with ReLU and maxima.

    Raises:
        InputError: on a context that is no picture of so many channels.
    """

    def __init__(self, made_of: Input, settings: PictureConvolution) -> None:
        super().__init__()
        assert settings.filters is not None
        if not isinstance(made_of, Features):
            raise InputError(
                f"model.context_convolution.filters is {settings.filters}, which is for pictures,"
                " but the context of the dataset is of symbols; give filters=null"
            )
        self.channels = settings.channels or channels_of(made_of.names) or 1
        if made_of.size % self.channels:
            raise InputError(
                f"model.context_convolution.channels is {self.channels}, but each row of the"
                f" context has {made_of.size} numbers; give a number of channels that divides it"
            )
        self.columns = made_of.size // self.channels
        sizes = [self.channels] + [settings.filters * 2**i for i in range(settings.layers)]
        self.size = sizes[-1]
        self.convs = nn.ModuleList(
            nn.Conv2d(size, next_size, settings.width, padding="same")
            for size, next_size in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    zero: Tensor

    def grid(self, rows: int) -> tuple[int, int]:
        """Rows and columns of the patches of a picture of so many rows."""
        columns = self.columns
        for _ in self.convs:
            rows, columns = -(-rows // 2), -(-columns // 2)
        return rows, columns

    def forward(
        self, rows: Float[Tensor, "batch rows size"]
    ) -> tuple[Float[Tensor, "batch patches channels"], Bool[Tensor, "batch patches"]]:
        """Vectors of patches, and which of them are no padding."""
        real = is_real(rows)  # (batch, rows)
        values = torch.where(real[:, :, None], rows.to(self.zero.dtype), self.zero)
        # (batch, channels, rows, columns)
        values = values.view(*real.shape, self.columns, self.channels).permute(0, 3, 1, 2)
        for conv in self.convs:
            values = torch.relu(conv(values)) * real[:, None, :, None]
            values = functional.max_pool2d(values, 2, ceil_mode=True)
            real = (
                functional.pad(real, (0, real.shape[1] % 2)).view(real.shape[0], -1, 2).any(dim=2)
            )
        is_patch = real[:, :, None].expand(-1, -1, values.shape[3])
        return values.flatten(2).transpose(1, 2), is_patch.flatten(1)
