"""The tests, in folders that mirror the package; ``support`` holds what several of them use."""
