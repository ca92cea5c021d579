"""How a multiplier passes through each kind of operation, written on the array namespace of the framework."""
