"""Compares ascribe with the same passes written by hand and with other libraries: ``python -m benchmarks``.

Other entry points: ``benchmarks.accuracy``, ``.budgets``, ``.autolrp``, ``.captum_names``, ``.route`` and ``benchmarks.zoo [sweep]``.
"""
