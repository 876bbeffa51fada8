"""How an example runs on many devices, by each backend's own engine.

JAX by `keras.distribution`, TensorFlow by `tf.distribute`, torch by
DistributedDataParallel. Several hosts start as each engine has it:
guides/scaling.md has the commands.
"""

import contextlib
import os
import typing

import keras
from absl import app
from absl import flags

import keras_mim

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "distribution",
    "none",
    ["none", "data", "model"],
    "Use all devices of all hosts: 'data' has the weights on each of them; "
    "'model' (JAX) has a part of weights and optimizer on each.",
)


class Place(typing.NamedTuple):
    """Where this process stands among those that train together.

    Attributes:
        index: int. Its number.
        count: int. How many there are.
        replicas: int. The number of devices that share the batch.
        scope: context manager. What the model is made in.
        strategy: `tf.distribute.Strategy` or `None`.
    """

    index: int = 0
    count: int = 1
    replicas: int = 1
    scope: typing.Any = contextlib.nullcontext()
    strategy: typing.Any = None

    @property
    def shard(self):
        return self.index, self.count

    @property
    def chief(self):
        return self.index == 0

    def batch_size(self):
        """Returns how many of a batch's images an element of a pipeline has.

        Those of this process; on TensorFlow those of one device.
        """
        parts = self.replicas if self.strategy else self.count
        if FLAGS.batch_size % self.replicas:
            raise app.UsageError(
                f"--batch_size={FLAGS.batch_size} is of all devices together: "
                f"it must be a multiple of their number, {self.replicas}."
            )
        return FLAGS.batch_size // parts

    def share(self, dataset):
        """Returns the batches of this process as the engine takes them."""
        if self.strategy is None or dataset is None:
            return dataset
        return self.strategy.distribute_datasets_from_function(
            lambda context: dataset
        )


def start():
    """Joins the other processes; before anything is computed.

    Returns: `Place`.
    """
    if FLAGS.distribution == "none":
        return Place()
    backend = keras.backend.backend()
    if FLAGS.distribution == "model" and backend != "jax":
        raise app.UsageError(
            f"--distribution=model needs KERAS_BACKEND=jax, not {backend}."
        )
    return {"jax": on_jax, "tensorflow": on_tensorflow, "torch": on_torch}[
        backend
    ]()


def on_jax():
    import jax

    distribution = keras.distribution
    hosts = os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ or "," in hosts:
        distribution.initialize()
    count = jax.process_count()
    # The pipeline reads a process's own share.
    if FLAGS.distribution == "data":
        chosen = distribution.DataParallel(auto_shard_dataset=False)
    elif count > 1:
        raise app.UsageError(
            "--distribution=model is for one host: Keras's backup cannot read "
            "weights of which other hosts hold a part."
        )
    else:
        devices = distribution.list_devices()
        mesh = distribution.DeviceMesh((len(devices),), ["batch"], devices)
        layouts = keras_mim.distribution.layout_map(mesh)
        chosen = distribution.ModelParallel(layout_map=layouts)
    distribution.set_distribution(chosen)
    return Place(jax.process_index(), count, jax.device_count())


def on_tensorflow():
    import tensorflow as tf

    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        resolver = strategy.cluster_resolver
        index = resolver.task_id
        count = len(resolver.cluster_spec().job_tasks("worker"))
    elif "TPU_NAME" in os.environ:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        strategy = tf.distribute.TPUStrategy(resolver)
        index, count = 0, 1
    else:
        strategy = tf.distribute.MirroredStrategy()
        index, count = 0, 1
    replicas = strategy.num_replicas_in_sync
    return Place(index, count, replicas, strategy.scope(), strategy)


def on_torch():
    import torch

    if "RANK" not in os.environ:
        raise app.UsageError(
            "--distribution on torch is started by torchrun: "
            "torchrun --nproc_per_node=gpu examples/pretrain.py ..."
        )
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if gpu else "gloo")
    count = torch.distributed.get_world_size()
    return Place(torch.distributed.get_rank(), count, count)


def fit(model, place, train, validation, epochs, initial_epoch, callbacks):
    """Trains; what is written is for the first process to write."""
    train, validation = place.share(train), place.share(validation)
    if place.count > 1 and keras.backend.backend() == "torch":
        import torch_ddp

        return torch_ddp.fit(
            model, train, validation, epochs, initial_epoch, callbacks
        )
    return model.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        shuffle=False,  # The pipeline does it.
        verbose="auto" if place.chief else 0,
        callbacks=callbacks,
    )
