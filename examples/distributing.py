"""How an example runs on many devices, by each backend's own engine.

JAX by `keras.distribution`, TensorFlow by `tf.distribute`, torch by
DistributedDataParallel. Several hosts start as each engine has it:
guides/scaling.md has the commands.
"""

import contextlib
import os

import keras
from absl import app
from absl import flags
from chief import Backup
from chief import ForChief
from chief import chiefs_own

import keras_mim

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "distribution",
    "none",
    ["none", "data", "model"],
    "Use all devices of all hosts: 'data' has the weights on each of them; "
    "'model' (JAX) has a part of weights and optimizer on each.",
)


def start():
    """Joins the other processes; to be called before anything is computed.

    Returns: `Place`.
    """
    if FLAGS.distribution == "none":
        return Place()
    backend = keras.backend.backend()
    if FLAGS.distribution == "model" and backend != "jax":
        raise app.UsageError(
            f"--distribution=model needs KERAS_BACKEND=jax, not {backend}."
        )
    places = {"jax": on_jax, "tensorflow": on_tensorflow, "torch": on_torch}
    place = places[backend]()
    if FLAGS.batch_size % place.replicas:
        raise app.UsageError(
            f"--batch_size={FLAGS.batch_size} is of all devices together: it "
            f"must be a multiple of their number, {place.replicas}."
        )
    return place


def on_jax():
    import jax

    distribution = keras.distribution
    hosts = os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ or "," in hosts:
        distribution.initialize()
    devices = distribution.list_devices()
    # The pipeline of a process reads its own share already.
    if FLAGS.distribution == "data":
        chosen = distribution.DataParallel(auto_shard_dataset=False)
    else:
        mesh = distribution.DeviceMesh((len(devices),), ["batch"], devices)
        chosen = distribution.ModelParallel(
            layout_map=keras_mim.distribution.layout_map(mesh),
            auto_shard_dataset=False,
        )
    distribution.set_distribution(chosen)
    return Place(jax.process_index(), jax.process_count(), len(devices))


def on_tensorflow():
    import tensorflow as tf

    index, count = 0, 1
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        resolver = strategy.cluster_resolver
        index = resolver.task_id
        count = resolver.cluster_spec().num_tasks("worker")
    elif "TPU_NAME" in os.environ:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        strategy = tf.distribute.TPUStrategy(resolver)
    else:
        strategy = tf.distribute.MirroredStrategy()
    return Place(index, count, strategy.num_replicas_in_sync, strategy)


def on_torch():
    import torch

    if "RANK" not in os.environ:
        raise app.UsageError(
            "On torch, --distribution is for processes that torchrun starts: "
            "torchrun --nproc_per_node=8 examples/pretrain.py ..."
        )
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if gpu else "gloo")
    count = torch.distributed.get_world_size()
    return Place(torch.distributed.get_rank(), count, count)


def leave():
    """Parts from the other processes, where all have done what all must do."""
    if FLAGS.distribution == "none":
        return
    if keras.backend.backend() == "jax":
        import jax

        # Those that end wait for the others for five minutes, which the
        # chief's last work may exceed; then all are aborted.
        jax.distributed.shutdown()
    elif keras.backend.backend() == "torch":
        import torch

        # Torch asks for it: what gloo's thread still holds when Python has
        # ended aborts a process whose work is done.
        torch.distributed.destroy_process_group()


class Place:
    """Where this process stands among those that train together.

    Args:
        index: int. Its number. The first, the chief, writes what is written.
        count: int. How many processes there are.
        replicas: int. How many devices share a batch.
        strategy: `tf.distribute.Strategy` or `None`.
    """

    def __init__(self, index=0, count=1, replicas=1, strategy=None):
        self.shard = (index, count)
        self.count = count
        self.chief = index == 0
        self.replicas = replicas
        self.strategy = strategy
        # What the model is to be made in.
        self.scope = strategy.scope() if strategy else contextlib.nullcontext()

    def batch_size(self):
        """Returns how many images a pipeline is to batch.

        Those of this process; on TensorFlow those of one device.
        """
        parts = self.replicas if self.strategy else self.count
        return FLAGS.batch_size // parts

    def seed(self, seed):
        """Returns a seed for what is to differ between processes."""
        return seed + 1_000_003 * self.shard[0]

    def steps(self, dataset):
        """Returns how many steps an epoch of batches is."""
        if self.strategy:
            return len(dataset) // (self.replicas // self.count)
        return len(dataset)

    def fit(self, model, train, validation, epochs, initial_epoch, callbacks):
        """Trains; of the callbacks, those that write do it once."""
        callbacks = [self._once(callback) for callback in callbacks]
        if keras.backend.backend() == "torch" and self.count > 1:
            import torch_ddp

            torch_ddp.fit(
                model, train, validation, epochs, initial_epoch, callbacks
            )
            return
        options = {}
        if self.strategy:
            options["steps_per_epoch"] = self.steps(train)
            train = self._per_replica(train)
            if validation is not None:
                options["validation_steps"] = self.steps(validation)
                validation = self._per_replica(validation)
        model.fit(
            train,
            validation_data=validation,
            epochs=epochs,
            shuffle=False,  # The pipeline does it.
            verbose="auto" if self.chief else 0,
            callbacks=callbacks,
            **options,
        )

    def _per_replica(self, dataset):
        # Such a data set does not tell its length; with a number of steps,
        # Keras does not ask for a batch behind the last.
        dataset = dataset.repeat()
        return self.strategy.distribute_datasets_from_function(
            lambda _: dataset
        )

    def _once(self, callback):
        everywhere = (keras.callbacks.TerminateOnNaN, Backup)
        if self.count == 1 or isinstance(callback, everywhere):
            return callback
        return ForChief(callback, self)

    def backup(self, folder, **options):
        """Returns the callback that a run is resumed from."""
        return Backup(self, folder, **options)

    def finish(self, model, path):
        """Saves what all have trained, and returns it to the chief alone.

        As a model on one device, with which nothing has to be distributed.
        """
        with chiefs_own(model, self) as own:
            if self.chief:
                own.save(path)
        leave()
        if self.replicas == 1 or not self.chief:
            return own
        keras.distribution.set_distribution(None)
        return keras.saving.load_model(path)
