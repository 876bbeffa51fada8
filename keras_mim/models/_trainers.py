"""What Keras's trainers need mended, so that all three train alike."""

import keras

from keras_mim._requirements import require


def build_optimizer(model):
    """Makes the optimizer's variables before TensorFlow traces a step.

    Keras makes them in the first step there, which is then traced again: twice
    the wait. On other backends it does so before.
    """
    # Without `compile` there is none; Keras says so.
    if keras.backend.backend() != "tensorflow" or not model.compiled:
        return
    if not model.optimizer.built:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)


def num_replicas(model):
    """Returns over how many replicas TensorFlow adds losses up; else 1."""
    if keras.backend.backend() != "tensorflow":
        return 1
    return model.distribute_strategy.num_replicas_in_sync


def averageable(model, results):
    """Returns a step's metrics in the shape that Keras's trainer can average.

    It takes the mean over the workers along the first axis, which a number
    has not got: Keras 3.15 under `tf.distribute.MultiWorkerMirroredStrategy`.
    """
    if keras.backend.backend() != "tensorflow":
        return results
    tf = require("tensorflow", "tensorflow")
    kind = tf.distribute.MultiWorkerMirroredStrategy
    if not isinstance(model.distribute_strategy, kind):
        return results
    return keras.tree.map_structure(lambda x: x[None], results)
