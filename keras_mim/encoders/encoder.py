import functools

import keras

from keras_mim._array_checks import check_images
from keras_mim._checks import arguments_of_size
from keras_mim._checks import check_counts
from keras_mim._checks import check_image_shape
from keras_mim.encoders._feature_maps import FeatureMaps
from keras_mim.encoders._layers import check_layers
from keras_mim.encoders._pixel_model import PixelModel
from keras_mim.encoders._weights import make_copy
from keras_mim.encoders._weights import take_weights
from keras_mim.encoders.layer_group import LayerGroup
from keras_mim.normalization import Normalization
from keras_mim.ops import patch_grid


class Encoder(PixelModel):
    """Images to tokens: what every method, head and converter relies on.

    A functional model of three stages, between which a masked image model
    meets the mask: `patch_embedding`, `position_embedding` and `trunk`. It has
    no mask and no loss, and is deterministic at inference.

    One of your own builds the stages in `__init__`, hands them to this class's
    and extends `get_config`; CONTRIBUTING.md has a whole one.

    Attributes:
        image_shape, patch_size, num_prefix_tokens, normalization: The
            arguments.
        grid: tuple of int. `(height, width)` in patches, the unit of masks.
        num_patches: int. Number of patches of an image.
        output_grid: tuple of int. `(height, width)` of the output tokens.
        stride: int. Side, in pixels, of what an output token stands for.
        output_dim: int. Width of an output token.
        blocks: list of Keras layers, shallow to deep.
        norm: Keras layer that ends the trunk, or `None`.
        drops_tokens: bool. Whether the trunk takes any subset of the tokens,
            as MAE gives it.
        takes_visible: bool. Whether the trunk takes a map of the visible
            patches and keeps the others silent, as masked convolutions do.
        default_pooling: str. What features are where nothing else is said:
            `"cls"`, the class token, or `"mean"`, the mean of the patch
            tokens. See `keras_mim.transfer.LinearProbe`.
        token_initializer: Keras initializer of tokens that a method adds.

    Args:
        image_shape: tuple of int. `(height, width, channels)`: height and
            width divisible by `patch_size`.
        patch_size: int. Side of a patch in pixels.
        patch_embedding: Keras layer from images to `(batch_size, num_patches,
            hidden_dim)`.
        trunk: functional `keras.Model` from the tokens after
            `position_embedding` to the output tokens. An input of any number
            of tokens, `None`, lets MAE drop some.
        blocks: sequence of Keras layers: those of the trunk whose depth counts.
        features: sequence of triples `(tokens, grid, stride)`, shallow to
            deep: a symbolic tensor inside of the trunk, the `(height, width)`
            of its tokens, and the pixels that one stands for. The last triple
            gives `output_grid` and `stride`.
        position_embedding: Keras layer from tokens to tokens, or `None` for
            none. Defaults to `None`.
        norm: Keras layer or `None`. The norm that ends the trunk, if any.
            Defaults to `None`.
        num_prefix_tokens: int. Number of tokens that `position_embedding` puts
            in front. Defaults to `0`.
        normalization: `keras_mim.Normalization` of the images. `None` is
            ImageNet's for three channels, else 0.5. Defaults to `None`.
        dtype: Dtype policy of the layers, or `None` for the global one.
            Defaults to `None`.
        **kwargs: Further arguments of `keras.Model`: `name`, `trainable`.

    Input shape: `(batch_size, height, width, channels)`: normalized pixels, or
    bytes (uint8), which are normalized first.

    Output shape: `(batch_size, num_prefix_tokens + num_tokens, output_dim)`.
    """

    # The sizes of the papers: arguments by name, for `from_size`.
    sizes = {}
    drops_tokens = False
    takes_visible = False
    drop_path_rate = 0.0

    def __init__(
        self,
        image_shape,
        patch_size,
        *,
        patch_embedding,
        trunk,
        blocks,
        features,
        position_embedding=None,
        norm=None,
        num_prefix_tokens=0,
        normalization=None,
        dtype=None,
        **kwargs,
    ):
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        image_shape = check_image_shape(image_shape)
        grid = patch_grid(image_shape, patch_size)
        normalization = Normalization.resolve(normalization, image_shape[-1])
        patch_size = int(patch_size)
        check_counts(least=0, num_prefix_tokens=num_prefix_tokens)
        check_layers(
            patch_embedding, position_embedding, trunk, norm, blocks, features
        )
        # Keras writes a layer without arguments only if they are plain values.
        plain = keras.dtype_policies.serialize(policy)
        position_embedding = position_embedding or keras.layers.Identity(
            dtype=plain, name="position_embedding"
        )
        images = keras.Input(image_shape, name="images")
        embedded = position_embedding(patch_embedding(images))
        super().__init__(images, trunk(embedded), **kwargs)

        self.dtype_policy = policy
        self.image_shape = image_shape
        self.patch_size = patch_size
        self.grid = grid
        self.num_patches = grid[0] * grid[1]
        self.num_prefix_tokens = num_prefix_tokens
        _, self.output_grid, stride = features[-1]
        self.stride = int(stride)
        self.output_dim = trunk.output_shape[-1]
        self.normalization = normalization
        self.patch_embedding = patch_embedding
        self.position_embedding = position_embedding
        self.trunk = trunk
        self.blocks = list(blocks)
        self.norm = norm
        # SimMIM's mask token: `trunc_normal_` of 0.02, cut at -2 and 2.
        self.token_initializer = keras.initializers.RandomNormal(stddev=0.02)

        self._feature_maps = FeatureMaps(trunk, features, num_prefix_tokens)
        self._embedded = lambda: embedded  # Which Keras must not track.

    @classmethod
    def from_size(cls, size, image_shape, *args, **kwargs):
        """Builds a size of the papers, one of those in `sizes`.

        Args:
            size: str. Name of the size.
            image_shape: tuple of int. `(height, width, channels)`.
            *args: Further arguments of the class, by position: of a `ViT`
                `patch_size`, for which the papers take 16, and 14 for huge.
            **kwargs: Further arguments of the class; they win over the size's.

        Returns:
            An encoder of this class.
        """
        arguments = arguments_of_size(cls.sizes, size)
        return cls(image_shape, *args, **{**arguments, **kwargs})

    @property
    def default_pooling(self):
        return "cls" if self.num_prefix_tokens else "mean"

    @property
    def layer_groups(self):
        """list of `LayerGroup`, shallow to deep.

        First what makes tokens, then a group per block, then what follows the
        blocks. Layer decay, partial fine-tuning and copying read it.
        """
        stem = (self.patch_embedding, self.position_embedding)
        known = {id(layer) for layer in self.blocks}
        layers = [x for x in self.trunk.layers if id(x) not in known]
        rest = [layer for layer in layers if layer.weights]
        groups = [LayerGroup((block,)) for block in self.blocks]
        return [LayerGroup(stem), *groups, LayerGroup(tuple(rest))]

    def fine_tuning_changes(self, pooling):
        """Returns what papers change to fine-tune an encoder with labels.

        Args:
            pooling: str. `"cls"` or `"mean"`.

        Returns:
            dict: arguments for `copy`.
        """
        return {}

    def undecayed_weights(self):
        """Returns the matrices that papers exempt from weight decay.

        Returns:
            list of Keras variables.
        """
        return list(self.position_embedding.weights)

    def position_layers(self):
        """Returns the layers whose `table` depends on the image or window.

        `load_weights_of` resizes their tables by their `resized_table`.

        Returns:
            list of Keras layers.
        """
        return []

    def feature_maps(self, images, layers):
        """Returns inner tokens as feature maps.

        What dense heads (detection, segmentation) start from. No final norm is
        applied.

        Args:
            images: Tensor of shape `(batch_size, height, width, channels)`.
            layers: sequence of int or str. An int is a position in the
                encoder's features, from 0: blocks of a plain encoder (ViT-B's
                usual choice is `(3, 5, 7, 11)`), stages of a hierarchical one.
                A string is a level of `pyramid_outputs`, such as `"P4"`.

        Returns:
            list of tensors of shape `(batch_size, height, width, dim)`, in the
            order of `layers`.
        """
        check_images(images, self.image_shape)
        tokens = self.patch_embedding(self.as_normalized(images))
        return self._feature_maps(self.position_embedding(tokens), layers)

    @functools.cached_property
    def pyramid_outputs(self):
        """dict of symbolic feature maps by level, such as `"P4"`.

        As KerasHub's `FeaturePyramidBackbone` has them: level n has a stride
        of `2 ** n` pixels and is the deepest map of that stride. A stride that
        is no power of two has no level.
        """
        levels = list(self._feature_maps.levels)
        if not levels:
            return {}
        return dict(zip(levels, self._feature_maps(self._embedded(), levels)))

    def copy(self, **changes):
        """Returns an encoder with the same weights under other arguments.

        What was set since it was made comes along: frozen layers, precisions
        of single layers (unless `dtype` is given), quantization and LoRA.

        Args:
            **changes: Arguments of the class, such as `image_shape` (positions
                are resized), `drop_path_rate`, `dtype` or `normalization`.

        Returns:
            An encoder of the same class.

        Raises:
            ValueError: If the class has no such argument, or the weights do
                not fit.
        """
        return make_copy(self, changes)

    def load_weights_of(self, other):
        """Takes the weights of an encoder that was built for other images.

        Tables of positions are resized. A final norm that only this encoder
        has stays as it is.

        Args:
            other: An encoder of the same class and sizes.

        Raises:
            ValueError: If the weights do not fit; nothing is changed then.
        """
        if type(other) is not type(self):
            raise ValueError(
                "The other encoder must be of the same class, "
                f"{type(self).__name__}. Received: {type(other).__name__}"
            )
        if len(self.blocks) != len(other.blocks):
            raise ValueError(
                "The other encoder must have as many blocks, "
                f"{len(self.blocks)}. Received: {len(other.blocks)} blocks"
            )
        take_weights(self, other)

    def get_config(self):
        return {
            **super().get_config(),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "image_shape": self.image_shape,
            "patch_size": self.patch_size,
            "normalization": keras.saving.serialize_keras_object(
                self.normalization
            ),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config.get("normalization"), dict):
            config["normalization"] = keras.saving.deserialize_keras_object(
                config["normalization"]
            )
        return super().from_config(config)
