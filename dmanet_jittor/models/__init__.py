"""The network in Jittor, part by part with the names of :mod:`dmanet.models`: weights fit both."""
