"""BEiT's ViTs, which are SimMIM's and, in other files, timm's too."""

from keras_mim.converters.layouts.layout import ADD_SIMMIM_PREFIX
from keras_mim.converters.layouts.layout import DROP_SIMMIM_PREFIX
from keras_mim.converters.layouts.vit_layout import ViTLayout

RULES = ((r"\.ls(\d)\.gamma$", r".gamma_\1"),)

# Reads SimMIM's files as well: beginnings of names are BEiT's in all of them.
BEIT = ViTLayout(name="beit", rules=RULES, file_rules=(DROP_SIMMIM_PREFIX,))
SIMMIM = ViTLayout(name="simmim", rules=(*RULES, ADD_SIMMIM_PREFIX))
