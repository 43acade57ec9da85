"""The CPU: loops compiled by Numba, made once for all models.  device.py lists what it offers."""
