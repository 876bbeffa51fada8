"""How a model's weights are split over devices."""

from keras_mim.distribution.layout_map import layout_map as layout_map
