"""One window of events to event pillars: settings, kernels, and the packed form."""
