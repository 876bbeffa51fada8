import numpy as np

from keras_mim.ops import require


def open_records(
    name, split, labels, data_dir, shuffle_files, seed, shard=(0, 1)
):
    """Opens a TensorFlow Dataset without decoding its images.

    Args:
        name: string. Name of the dataset.
        split: string.
        labels: bool. Whether to read `"label"` beside `"image"`.
        data_dir: string or `None`. Where datasets are kept.
        shuffle_files: bool. Whether to read the dataset's own files in a
            new order in each epoch.
        seed: int or `None`. For that order.
        shard: pair of ints `(index, count)`. Which of `count` equal parts of
            the split to read, the same in each epoch: what others read costs
            nothing.

    Returns: `tf.data.Dataset` of dictionaries with the encoded image, a
        string tensor, and the int64 label.

    Raises:
        ValueError: if the dataset is unknown, or has no such features.
    """
    tfds = require("tensorflow_datasets")
    builder = tfds.builder(name, data_dir=data_dir)
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
    index, count = shard
    if count > 1:
        split = tfds.even_splits(split, count, drop_remainder=True)[index]
    return builder.as_dataset(
        split,
        # Only these features are read; the image stays a file, so that
        # decoding and cropping can be one step.
        decoders=tfds.decode.PartialDecoding(
            dict.fromkeys(kinds, True),
            decoders={"image": tfds.decode.SkipDecoding()},
        ),
        shuffle_files=shuffle_files,
        read_config=tfds.ReadConfig(shuffle_seed=seed),
    )
