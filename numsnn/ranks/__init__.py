"""Training on several processes: the ranks of an MPI communicator (extra numsnn[mpi]).

    from mpi4py import MPI
    ns.fit(net, train, valid, loss=..., optimizer=..., epochs=10, comm=MPI.COMM_WORLD)

    mpiexec -n 4 python -m mpi4py training.py           mpiexec -n 4 numsnn train srnn-ecg --data ... --mpi

Every rank holds the network.  Each batch is cut into the chunks of samples that threads take, the ranks own
consecutive chunks, gradients are summed, and every rank makes the same update: with sums="exact" the same
bytes for any number of ranks, and without MPI.
"""

from .agreement import digest
from .alone import ALONE, SUMS, RankError, Ranks
from .mpi import over

__all__ = ["ALONE", "SUMS", "RankError", "Ranks", "digest", "over"]
