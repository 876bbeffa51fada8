"""JAX's calls for GPUs: by the same calls on a CPU, and lowered for CUDA."""

import functools
from unittest import mock

import keras
import numpy as np
import pytest

from keras_mim.ops import _on_jax
from keras_mim.ops import attend
from keras_mim.ops import gather_tokens
from tests import tiny
from tests.test_case import TestCase

KERNEL = "__cudnn$fmha"


@pytest.mark.jax_only
class OnJaxTest(TestCase):
    def test_padding_is_silent_forward_and_backward(self):
        import jax

        # Of heads that are not a multiple of 8 wide, too.
        for num_tokens, head_dim in (
            (1, 8),
            (8, 12),
            (50, 5),
            (197, 8),
        ):
            x = tiny.normal(2, num_tokens, 3, 2, head_dim)
            cotangent = tiny.normal(2, num_tokens, 2, head_dim, seed=1)
            bias = tiny.normal(1, 2, num_tokens, num_tokens, seed=2)

            @functools.partial(jax.jit, static_argnums=0)
            def run(function, *arguments):
                output, back = jax.vjp(function, *arguments)
                return output, back(cotangent)

            fused = functools.partial(
                _on_jax.attend_fused, implementation="xla"
            )
            for arguments in ((x,), (x, bias)):
                found = run(fused, *arguments)
                expected = run(attend, *arguments)
                # Sums of up to 197 rounded products.
                keras.tree.map_structure(
                    lambda x, y: self.assertAllClose(x, y, 1e-5, 1e-5),
                    found,
                    expected,
                )

    def test_a_product_picks_the_tokens_of_a_lookup(self):
        import jax

        tokens = tiny.normal(3, 7, 5)
        indices = np.array([[0, 3], [6, 6], [2, 1]], "int32")
        cotangent = tiny.normal(3, 2, 5, seed=1)
        expected = np.take_along_axis(tokens, indices[:, :, None], axis=1)
        gradient = np.zeros_like(tokens)
        rows = np.arange(3)[:, None]
        np.add.at(gradient, (rows, indices), cotangent)
        found, back = jax.vjp(lambda x: _on_jax.pick_tokens(x, indices), tokens)
        self.assertAllEqual(found, expected)
        self.assertAllClose(back(cotangent)[0], gradient)
        self.assertAllEqual(gather_tokens(tokens, indices), expected)

    def test_a_cpu_has_no_kernel(self):
        self.assertFalse(_on_jax.has_kernel())
        x = keras.ops.ones((2, 8, 3, 2, 8), "bfloat16")
        self.assertIsNone(_on_jax.attend_fused(x))


@pytest.mark.jax_only
class LoweredTest(TestCase):
    """A step as it is lowered for CUDA, which needs no GPU."""

    def setUp(self):
        super().setUp()
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        # JAX asks these of a GPU that is there.
        private = "jax._src.cudnn.fused_attention_stablehlo."
        for name, value in (
            (f"{private}check_cudnn_version", 91000),
            (f"{private}check_compute_capability", True),
            (f"{private}is_cuda_compute_capability_equal", False),
            ("keras_mim.ops._on_jax.has_kernel", True),
            ("keras_mim.ops._device.device", "jax gpu"),
        ):
            patch = mock.patch(name, return_value=value)
            try:
                patch.start()
            except (AttributeError, ImportError):
                self.skipTest(f"this version of JAX has no {name}")
            self.addCleanup(patch.stop)
        _on_jax._takes.cache_clear()
        self.addCleanup(_on_jax._takes.cache_clear)

    def program(self, model, images):
        """Returns the loss's gradient as a program for CUDA."""
        import jax
        from jax import export

        values = [v.value for v in model.trainable_variables]
        others = [v.value for v in model.non_trainable_variables]

        def loss(values, images):
            output, _ = model.stateless_call(
                values, others, images, training=True
            )
            return model.compute_loss(x=images, y_pred=output)

        exported = export.export(
            jax.jit(jax.grad(loss)),
            platforms=["cuda"],
            disabled_checks=[
                export.DisabledSafetyCheck.custom_call(KERNEL + name)
                for name in (
                    "Softmax",
                    "SoftmaxBackward",
                    "ScaleBiasSoftmax",
                    "ScaleBiasSoftmaxBackward",
                )
            ],
        )(values, images)
        return exported.mlir_module()

    def test_mae_has_the_kernel_in_every_block_and_no_scatter(self):
        # Five tokens in the encoder and 17 in the decoder.
        encoder = tiny.vit((16, 16, 3), num_layers=2)
        model = tiny.mae(encoder)
        model.compile()
        text = self.program(model, tiny.images(2, (16, 16, 3)))
        # Two blocks and the decoder's one.
        self.assertEqual(text.count(KERNEL + "Softmax("), 3)
        self.assertEqual(text.count(KERNEL + "SoftmaxBackward("), 3)
        # Counted: a failure would print the program.
        self.assertEqual(text.count("stablehlo.scatter"), 0)

    def test_relative_positions_keep_the_kernel_and_learn(self):
        encoder = tiny.vit(
            (16, 16, 3), num_layers=2, positions="relative", hidden_dim=16
        )
        model = tiny.simmim(encoder)
        model.compile()
        text = self.program(model, tiny.images(2, (16, 16, 3)))
        self.assertEqual(text.count(KERNEL + "ScaleBiasSoftmax("), 2)
        self.assertEqual(text.count(KERNEL + "ScaleBiasSoftmaxBackward("), 2)

    def test_what_the_kernel_does_not_take_is_computed_plainly(self):
        import jax
        from jax import export

        for dtype, head_dim in (("float32", 8), ("bfloat16", 264)):
            x = keras.ops.ones((2, 9, 3, 2, head_dim), dtype)
            self.assertIsNone(_on_jax.attend_fused(x))
            exported = export.export(jax.jit(attend), platforms=["cuda"])(x)
            self.assertEqual(exported.mlir_module().count(KERNEL), 0)
