"""Which releases of the libraries made a result."""

from importlib.metadata import version

LIBRARIES = ("tensorflow", "keras", "numpy", "h5py")


def library_versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
