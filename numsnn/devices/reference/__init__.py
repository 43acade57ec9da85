"""NumPy alone, step by step as the equations are written: what the other devices are measured by."""
