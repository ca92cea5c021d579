"""The version, for the package's metadata, for ``ascribe.__version__`` and for the settings of results."""

VERSION = "0.1.0.dev0"
