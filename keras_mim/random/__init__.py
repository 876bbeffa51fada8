"""Random streams that differ between the replicas of a distributed run."""

from keras_mim.random.replica_seeds import ReplicaSeeds as ReplicaSeeds
from keras_mim.random.replica_seeds import replica_number as replica_number
