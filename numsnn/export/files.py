"""`export_c`: a network as two files of C, with the proof that they compute what it does."""
