"""Carries out a call: the request, the plan, the loop over batches, and the result.

:mod:`.verbs` holds the public functions. A call goes through :mod:`.plan`, a pass of :mod:`.passes` for every batch of records, and
:mod:`.result`.
"""
