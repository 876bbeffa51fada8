def require_tensorflow():
    """Imports TensorFlow, or says which extra brings it."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(
            "Exporting a SavedModel needs TensorFlow: "
            'pip install "keras-mim[tensorflow]"'
        ) from error
    return tensorflow
