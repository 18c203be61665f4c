"""What a run keeps: weights, checkpoints, its folder and its log."""
