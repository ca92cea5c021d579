"""Translates captum's arguments into ascribe's: calls, targets, layers, masks, signatures, errors."""
