import math
import re

import pytest

from tests.distribution.processes import results_of
from tests.distribution.training_test import EIGHT
from tests.test_case import TestCase

# What the compiled step of a MAE on eight devices sends.
SCRIPT = """
import json, sys
import jax, keras, numpy as np
sys.path.insert(0, "tests/distribution")
from tests.distribution import training_run
keras.distribution.set_distribution(training_run.distribution_of(sys.argv[1]))
model = training_run.make_model("mae")
# So many that tokens outweigh kernels.
images = np.zeros((256, 32, 32, 3), "float32")
model.fit(images, batch_size=256, verbose=0)
layout = keras.distribution.distribution().get_data_layout(images.shape)
images = jax.device_put(images, layout.backend_layout)
state = tuple(
    [v.value for v in variables]
    for variables in (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
)
layouts = jax.tree.map(lambda x: x.sharding, state)
step = jax.jit(model.train_step, out_shardings=(None, layouts))
text = step.lower(state, (images,)).compile().as_text()
count = sum(x.size for x in state[0])
print("RESULT", json.dumps([text, count]))
"""


@pytest.mark.jax_only
class CollectivesTest(TestCase):
    def sent(self, layout):
        """Returns the kinds and shapes of what devices exchange, and a count.

        Of the trainable weights.
        """
        ((text, count),) = results_of(["-c", SCRIPT, layout], [EIGHT])
        kinds = "all-reduce|all-gather|all-to-all|collective-permute"
        sent = []
        for types, kind in re.findall(rf"= (.*) ({kinds})(?:-start)?\(", text):
            for shape in re.findall(r"\w+\[([\d,]*)\]", types):
                shape = tuple(map(int, shape.split(","))) if shape else ()
                sent.append((kind, shape))
        return sent, count

    def test_data_parallel_sends_gradients_alone(self):
        sent, count = self.sent("data")
        self.assertEqual({kind for kind, _ in sent}, {"all-reduce"})
        numbers = sum(math.prod(shape) for _, shape in sent)
        # And the loss, and few numbers more.
        self.assertBetween(numbers, count, count + 10)

    def assertBetween(self, value, least, most):
        self.assertGreaterEqual(value, least)
        self.assertLessEqual(value, most)

    def test_split_kernels_are_fetched_and_no_tokens(self):
        sent, count = self.sent("sharded")
        gathered = [shape for kind, shape in sent if kind == "all-gather"]
        # The widest kernel has 256 rows; 1280 visible tokens are encoded.
        self.assertLessEqual(max(shape[0] for shape in gathered), 256)
        numbers = sum(math.prod(shape) for shape in gathered)
        self.assertBetween(numbers, 0.9 * count, 1.1 * count)
