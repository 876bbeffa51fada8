"""Random numbers on torch, drawn in one operation.

Keras draws with a generator that it makes on the way, which torch can neither
compile nor export, and looks its seed up on the device, which waits for all
that the device has to do. Here the seed stays on the CPU, and the generator is
inside of an operation that the compiler does not look into. The numbers are
Keras's.
"""

import functools

import keras


@functools.cache
def register():
    """Makes the operation known to torch, once."""
    import torch

    @torch.library.custom_op("keras_mim::uniform", mutates_args=())
    def uniform(
        state: torch.Tensor, offset: int, shape: list[int], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first, count = state.tolist()
        # As Keras 3.15 joins the two.
        seed = (first + offset + count) & 0xFFFFFFFF
        generator = torch.Generator(device).manual_seed(seed)
        numbers = torch.rand(shape, generator=generator, device=device)
        return numbers, state.new_tensor([first, count + 1])

    @uniform.register_fake
    def _(state, offset, shape, device):
        numbers = torch.empty(shape, device=device)
        return numbers, torch.empty_like(state)


def uniform(shape, seed_generator):
    """Draws what `keras.random.uniform` would draw.

    Args:
        shape: tuple of int.
        seed_generator: `keras_mim.random.ReplicaSeeds`.

    Returns:
        Float32 tensor.
    """
    import torch

    device = keras.ops.zeros(()).device
    if device.type == "meta":
        # Keras asks for shapes.
        return torch.empty(tuple(shape), device=device)
    numbers, state = torch.ops.keras_mim.uniform(
        seed_generator.state.value,
        seed_generator.replica_offset(),
        list(shape),
        device,
    )
    with keras.device("cpu"):
        seed_generator.state.assign(state)
    return numbers
