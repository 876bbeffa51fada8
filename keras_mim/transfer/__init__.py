"""What a pre-trained encoder is for."""

from keras_mim.transfer.classifier import Classifier as Classifier
from keras_mim.transfer.layer_decay import decayed_weights as decayed_weights
from keras_mim.transfer.layer_decay import layer_ids as layer_ids
from keras_mim.transfer.layer_decay import layer_scales as layer_scales
