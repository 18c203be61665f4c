"""Commands of `dmanet`: train the detector, score it, use it, from a pillar cache.

A command a module. They parse, call and print; the work is in `dmanet`, imported inside each command so
that ``--help`` answers at once. `cli.main` makes the program of them.
"""

#: Every command on a network, and where it is.
VERBS = {
    "train": "cli.model.train:train",
    "evaluate": "cli.model.evaluate:evaluate",
    "predict": "cli.model.predict:predict",
    "bench": "cli.model.bench:bench",
    "compare": "cli.model.compare:compare",
    "results": "cli.model.results:results",
    "report": "cli.model.report:report",
    "import-weights": "cli.model.import_weights:import_weights",
    "export-weights": "cli.model.export_weights:export_weights",
}
