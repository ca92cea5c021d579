"""The arguments of one call of the model: :class:`~ascribe.Call`, and errors for arguments that are not arrays."""
