"""An NVIDIA GPU: kernels compiled by Numba, made from the same functions.  device.py lists what it offers."""
