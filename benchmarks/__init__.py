"""Scripts that print the figures the documentation states: ratios taken in turn within one run."""
