from keras_mim.random import seed_states


class SavesSeeds:
    """Saves a masked image model's random streams, which Keras leaves out.

    Comes before `keras.Model` among the bases.
    """

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for i, state in enumerate(self._seeds_to_save()):
            store[f"seed_{i}"] = state

    def load_own_variables(self, store):
        own = {k: store[k] for k in store.keys() if not k.startswith("seed_")}
        super().load_own_variables(own)
        for i, state in enumerate(self._seeds_to_save()):
            state.assign(store[f"seed_{i}"])

    def _seeds_to_save(self):
        # Evaluation's begins anew each time, from training's seed.
        evaluation = self.masking.evaluation_seeds.state
        return [x for x in seed_states(self) if x is not evaluation]
