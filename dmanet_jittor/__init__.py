"""DMANet in the Jittor framework: the same network, settings, cache and weights, without torch.

Import :mod:`dmanet_jittor.framework` before anything of jittor: it checks the environment and says where
jittor compiles. docs/jittor.md tells how to set it up.
"""
