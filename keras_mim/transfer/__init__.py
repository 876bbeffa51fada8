"""What a pre-trained encoder is for."""

from keras_mim.transfer.classifier import Classifier as Classifier
from keras_mim.transfer.extract_features import (
    extract_features as extract_features,
)
from keras_mim.transfer.few_labels import few_labels as few_labels
from keras_mim.transfer.knn import knn_votes as knn_votes
from keras_mim.transfer.layer_decay import decayed_weights as decayed_weights
from keras_mim.transfer.layer_decay import layer_ids as layer_ids
from keras_mim.transfer.layer_decay import layer_scales as layer_scales
from keras_mim.transfer.linear_probe import LinearProbe as LinearProbe
from keras_mim.transfer.linear_probe_sweep import (
    LinearProbeSweep as LinearProbeSweep,
)
from keras_mim.transfer.logistic_votes import logistic_votes as logistic_votes
from keras_mim.transfer.train_last_blocks import (
    train_last_blocks as train_last_blocks,
)
