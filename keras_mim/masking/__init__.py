"""Which patches are hidden: layers from images to a boolean mask."""

from keras_mim.masking.block_masking import BlockMasking as BlockMasking
from keras_mim.masking.grid_masking import GridMasking as GridMasking
from keras_mim.masking.masking import Masking as Masking
from keras_mim.masking.random_masking import RandomMasking as RandomMasking
from keras_mim.masking.square_masking import SquareMasking as SquareMasking
