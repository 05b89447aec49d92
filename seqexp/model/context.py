"""A second input of each sequence: its vectors or patches, and how models read them."""

import json
from typing import Any

from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.model.convolution import ConvolutionLayer
from seqexp.model.layers import Activation, EmbeddingSize, input_layer, read_out
from seqexp.model.picture import Patches, PictureConvolution
from seqexp.model.recurrent_layer import RecurrentLayers
from seqexp.spec import Input, TaskSpec, is_real


def filters_of(picture: PictureConvolution | None) -> int | None:
    """Filters of the first layer over a picture; None where there are none."""
    return None if picture is None else picture.filters


def refuse_without_context(spec: TaskSpec, **choices: tuple[Any, Any]) -> None:
    """Each choice is a value and the one that it has where there is no context.

    Raises:
        InputError: on another value, where sequences have no context.
    """
    if spec.context is not None:
        return
    for key, (value, without) in choices.items():
        if value != without:
            name = f"{key}.filters" if key == "context_convolution" else key
            shown, instead = (json.dumps(v).strip('"') for v in (value, without))
            raise InputError(
                f"model.{name} is {shown}, but sequences of the dataset have no context that could"
                f" be read; give {instead}"
            )


class ContextInput(nn.Module):
    """Vectors of the positions of a context, or of the patches of a picture.

    Args:
        made_of: what the context is made of.
        embedding_size: of its symbols or features.
        picture: how a picture becomes patches; without filters, its rows are the positions.
    """

    def __init__(
        self, made_of: Input, embedding_size: EmbeddingSize, picture: PictureConvolution | None
    ) -> None:
        super().__init__()
        self.patches: Patches | None = None
        self.vectors: nn.Module | None = None
        if picture is not None and picture.filters is not None:
            self.patches = Patches(made_of, picture)
            self.size = self.patches.size
        else:
            vectors = input_layer(made_of, embedding_size, "model.context_embedding_size")
            self.vectors, self.size = vectors, vectors.size

    def shape(self, length: int) -> tuple[int, ...]:
        """How the positions lie that a context of this length gives: in a row, or in a grid."""
        return (length,) if self.patches is None else self.patches.grid(length)

    def forward(
        self, context: Num[Tensor, "batch context ..."]
    ) -> tuple[Float[Tensor, "batch read channels"], Bool[Tensor, "batch read"]]:
        """Vectors, and which of them are no padding."""
        if self.patches is not None:
            vectors, real = self.patches(context)
            return vectors, real
        assert self.vectors is not None
        return self.vectors(context), is_real(context)


class Encoder(RecurrentLayers):
    """Recurrent layers over a context; `make` makes them.

    Source: Sutskever et al. (2014), sec. 2; in both directions, Bahdanau et al. (2015), sec. 3.2.
    """

    def __init__(
        self, made_of: Input, embedding_size: EmbeddingSize, picture: PictureConvolution | None
    ) -> None:
        super().__init__()
        self.input = ContextInput(made_of, embedding_size, picture)

    def forward(
        self, context: Num[Tensor, "batch context ..."]
    ) -> tuple[
        Float[Tensor, "batch read features"],
        Bool[Tensor, "batch read"],
        list[Tensor],
        list[Tensor],
    ]:
        """States of the top layer, which are no padding, and the last ones in each direction."""
        vectors, real = self.input(context)
        states, forwards, backwards = self.over(vectors, real, ())
        return states, real, forwards, backwards


class PooledContext(nn.Module):
    """The strongest response of each of some filters to a context, or to the patches of a picture.

    Of patches, a filter sees one at a time.
    """

    def __init__(
        self,
        made_of: Input,
        embedding_size: EmbeddingSize,
        picture: PictureConvolution | None,
        filters: int,
        width: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.input = ContextInput(made_of, embedding_size, picture)
        width = width if self.input.patches is None else 1
        self.filters = ConvolutionLayer(self.input.size, filters, width, "same", activation)

    def forward(self, context: Num[Tensor, "batch context ..."]) -> Float[Tensor, "batch filters"]:
        """Maxima over all positions that are no padding."""
        activations, real, _ = self.filters(*self.input(context))
        return read_out(activations, real, "max")[:, 0]
