"""Class activation maps: the methods, their formulas, how layers lie on an image, and variants that mask the input."""
