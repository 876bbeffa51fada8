import keras

from keras_mim._checks import check
from keras_mim._checks import check_kind
from keras_mim.random import _on_torch
from keras_mim.random.replica_seeds import ReplicaSeeds


def uniform(shape, seed_generator):
    """Draws numbers in [0, 1), as `keras.random.uniform` does.

    The same numbers; on torch in a form that can be compiled.

    Args:
        shape: tuple of int. Its first may be a tensor.
        seed_generator: `ReplicaSeeds`. It moves on to its next seed.

    Returns:
        Float32 tensor of that shape. Float32 under mixed precision too: half
        precision would tie.
    """
    check(isinstance(shape, (tuple, list)), "shape", shape, "a tuple of int")
    check_kind(ReplicaSeeds, seed_generator=seed_generator)
    if keras.backend.backend() == "torch":
        return _on_torch.uniform(shape, seed_generator)
    return keras.random.uniform(shape, dtype="float32", seed=seed_generator)
