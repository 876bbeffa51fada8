import importlib
import sys


def require(module_name, extra="data"):
    """Imports an optional package, or says which extra brings it.

    Args:
        module_name: str. Such as `"tensorflow"`.
        extra: str. The extra of keras-mim that installs it.
            Defaults to `"data"`.

    Returns:
        The imported module.

    Raises:
        ImportError: If the package is not installed.
    """
    # AutoGraph, which comes here too, warns of what it cannot convert.
    if sys.modules.get(module_name) is not None:
        return sys.modules[module_name]
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # An installed package that lacks one of its own parts is another
        # fault than a missing extra, so it is not hidden.
        package = module_name.split(".")[0]
        if error.name not in (module_name, package):
            raise
        raise ImportError(
            f"This needs {package}, which is not installed. "
            f'Install it with: pip install "keras-mim[{extra}]"'
        ) from error
