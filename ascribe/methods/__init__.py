"""The named methods: each is a short recipe for the verbs of :mod:`ascribe.engine.verbs`."""
