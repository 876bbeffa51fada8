import dataclasses


@dataclasses.dataclass(frozen=True)
class LayerGroup:
    """Layers of an encoder that count as one depth together.

    Attributes:
        layers: tuple of Keras layers.
        attention: tuple of Keras layers, among these or inside of them: the
            attention branch of the group's block, which half-block
            fine-tuning leaves out. Empty where there are no halves.
    """

    layers: tuple
    attention: tuple = ()
