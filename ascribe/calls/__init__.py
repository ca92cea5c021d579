"""The arguments of one model call: :class:`~ascribe.Call`, and errors for arguments that are not arrays."""
