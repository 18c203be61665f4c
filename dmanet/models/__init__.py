"""The network: event pillars to class logits and box deltas, with memory over time."""
