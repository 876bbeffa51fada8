import functools

import keras
from keras import ops

from keras_mim._checks import is_int


class FeatureMaps:
    """The tokens inside of an encoder's trunk, as feature maps.

    Not a Keras object, so that Keras does not save its models as state.

    Args:
        trunk: functional `keras.Model` of tokens.
        features: sequence of triples, as `Encoder` has them.
        num_prefix_tokens: int. Number of tokens to leave out.
    """

    def __init__(self, trunk, features, num_prefix_tokens):
        self.trunk = trunk
        self.features = [(x, grid, int(n)) for x, grid, n in features]
        self.num_prefix_tokens = num_prefix_tokens
        # The deepest of each stride, by the name of KerasHub's levels.
        self.levels = {
            f"P{stride.bit_length() - 1}": i
            for i, (_, _, stride) in enumerate(self.features)
            if stride.bit_count() == 1
        }

    def __call__(self, tokens, layers):
        """Returns feature maps.

        Args:
            tokens: Tensor of shape `(batch_size, num_tokens, hidden_dim)`:
                what goes into the trunk.
            layers: sequence of int or str. See `Encoder.feature_maps`.

        Returns:
            list of tensors of shape `(batch_size, height, width, dim)`.
        """
        indices = self._indices(layers)
        # Keras returns the only one of several outputs by itself, or not.
        outputs = keras.tree.flatten(self._model(indices)(tokens))
        maps = []
        for i, x in zip(indices, outputs, strict=True):
            x = x[:, self.num_prefix_tokens :]
            maps.append(ops.reshape(x, (-1, *self.features[i][1], x.shape[-1])))
        return maps

    def _indices(self, layers):
        number = len(self.features)
        several = isinstance(layers, (tuple, list, range))
        indices = [self.levels.get(x, x) for x in layers] if several else []
        right = all(is_int(i) and 0 <= i < number for i in indices)
        if not indices or not right:
            raise ValueError(
                f"`layers` must hold one or more ints in [0, {number}), or "
                f"levels of {list(self.levels)}. Received: layers={layers!r}"
            )
        return tuple(indices)

    @functools.cache
    def _model(self, indices):
        tokens = [self.features[i][0] for i in indices]
        return keras.Model(self.trunk.input, tokens)
