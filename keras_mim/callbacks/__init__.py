"""Watching a model train."""

from keras_mim.callbacks.backup import Backup as Backup
from keras_mim.callbacks.finite_check import FiniteCheck as FiniteCheck
from keras_mim.callbacks.image_grid import save_image_grid as save_image_grid
from keras_mim.callbacks.online_probe import OnlineProbe as OnlineProbe
from keras_mim.callbacks.reconstruction_callback import (
    ReconstructionCallback as ReconstructionCallback,
)
from keras_mim.callbacks.reconstruction_grid import (
    reconstruction_columns as reconstruction_columns,
)
from keras_mim.callbacks.reconstruction_grid import (
    reconstruction_grid as reconstruction_grid,
)
from keras_mim.callbacks.reconstruction_grid import (
    save_reconstruction_grid as save_reconstruction_grid,
)
