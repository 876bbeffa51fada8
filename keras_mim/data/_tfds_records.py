import numpy as np

from keras_mim._checks import check
from keras_mim._checks import check_path
from keras_mim._requirements import require
from keras_mim.data._epoch_order import shuffle_seed

# Which shuffling of an epoch that of the files is: -1 and from 0 on are taken.
FILES = -2

# TFDS streams encoded images; so many ImageNet files take about 450 MB.
TFDS_SHUFFLE_BUFFER = 4096


def open_records(name, split, labels, data_dir, shuffle_files, shard):
    """Opens a TensorFlow Dataset without decoding its images.

    Args:
        name: str. Name of the dataset.
        split: str.
        labels: bool. Whether to read `"label"` beside `"image"`.
        data_dir: str or `None`. Where datasets are kept.
        shuffle_files: bool. Whether to read the dataset's own files in a
            new order in each epoch.
        shard: pair of ints `(index, count)`. Which of `count` equal parts of
            the split to read, the same in each epoch: what others read costs
            nothing.

    Returns:
        A tuple `(records, length, class_names)`, the first two as
        `record_epochs` takes them. The order of the files follows from the seed
        that `records` is given. A record is a dictionary with the encoded
        image, a string tensor, and the int64 label. Without labels, the names
        are `None`.

    Raises:
        ValueError: If the dataset is unknown, or has no such features.
    """
    check(isinstance(name, str), "name", name, "a string")
    check(isinstance(split, str), "split", split, "a string")
    check_path(or_none=True, data_dir=data_dir)
    tfds = require("tensorflow_datasets")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except ValueError as error:
        raise ValueError(
            "`name` must be a dataset that TFDS finds. "
            f"Received: name={name!r}, data_dir={data_dir!r}"
        ) from error
    kinds = {"image": tfds.features.Image}
    if labels:
        kinds["label"] = tfds.features.ClassLabel
    features = dict(builder.info.features)
    for key, kind in kinds.items():
        if not isinstance(features.get(key), kind):
            raise ValueError(
                f'`name` must be a dataset with a feature "{key}" of type '
                f"{kind.__name__}. Received: name={name}, whose features are "
                f"{features}"
            )
    # TFDS stores float pixels as PNG files of their bytes.
    dtype = np.dtype(features["image"].np_dtype)
    if dtype != "uint8":
        raise ValueError(
            "`name` must be a dataset of uint8 images. Received: "
            f"name={name}, whose images are {dtype}"
        )
    builder.download_and_prepare()

    def open_files(**order):
        return builder.as_dataset(
            share,
            # Only these features are read; the image stays a file, so that
            # decoding and cropping can be one step.
            decoders=tfds.decode.PartialDecoding(
                dict.fromkeys(kinds, True),
                decoders={"image": tfds.decode.SkipDecoding()},
            ),
            shuffle_files=bool(order),
            read_config=tfds.ReadConfig(**order),
        )

    try:
        share = tfds.even_splits(split, shard[1], drop_remainder=True)[shard[0]]
        in_order = open_files()
    except ValueError as error:
        raise ValueError(
            f"`split` must be one of {name}'s, {sorted(builder.info.splits)}, "
            "or a part of one, with an image for each shard. "
            f"Received: split={split!r}, shard={shard}"
        ) from error
    length = int(in_order.cardinality())
    class_names = features["label"].names if labels else None
    if not shuffle_files or len(builder.info.splits[share].filepaths) == 1:
        # The same dataset for all epochs: TFDS keeps a small one in memory.
        return lambda epoch_seed: in_order, length, class_names

    def shuffled_records(epoch_seed):
        # Not by TFDS's own seed: then each epoch's order would follow from
        # those before, and a resumed run had to start the reader once for each.
        return open_files(
            shuffle_seed=shuffle_seed(epoch_seed, FILES),
            shuffle_reshuffle_each_iteration=False,
            try_autocache=False,
        )

    return shuffled_records, length, class_names
