import os

from keras_mim.distribution.placement import Placement


class TensorFlowPlacement(Placement):
    """Distributes by `tf.distribute`, whose pipelines batch for one device."""

    def __init__(self):
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
        self.strategy = strategy
        replicas = strategy.num_replicas_in_sync
        super().__init__(index, count, replicas, shares=replicas)

    def scope(self):
        return self.strategy.scope()

    def _fit(self, model, batches, validation_data, **options):
        if self.replicas == 1:  # No length is needed.
            return super()._fit(model, batches, validation_data, **options)
        options["steps_per_epoch"] = self.steps(batches)
        if validation_data is not None:
            options["validation_steps"] = self.steps(validation_data)
            validation_data = self._per_replica(validation_data)
        batches = self._per_replica(batches)
        return super()._fit(model, batches, validation_data, **options)

    def _per_replica(self, batches):
        # Such a data set does not tell its length; with a number of steps,
        # Keras does not ask for a batch behind the last.
        batches = batches.repeat()
        return self.strategy.distribute_datasets_from_function(
            lambda _: batches
        )
