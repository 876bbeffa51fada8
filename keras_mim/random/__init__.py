"""Random numbers that differ between the replicas of a distributed run."""

from keras_mim.random.replica_seeds import ReplicaSeeds as ReplicaSeeds
from keras_mim.random.replica_seeds import replica_number as replica_number
from keras_mim.random.replica_seeds import seed_states as seed_states
from keras_mim.random.uniform import uniform as uniform
