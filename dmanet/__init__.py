"""DMANet: model, training and evaluation, fed from a pillar cache."""
