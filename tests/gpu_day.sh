#!/bin/sh
# gpu_day.sh OUT [part ...]: what a machine with an NVIDIA card can tell of numsnn, within six minutes.
#
# From a checkout or an archive of its files, without network or data sets.  Python (PYTHON=python3) has
# numpy, numba, numba-cuda and pytest, and what there is of torch, jax, cupy, spikingjelly to compare with.
# Parts: about, correctness, sanitize, speed, profile.  Each has its time limit, and what fails stops nothing.
# In OUT: a text of each part, found.json with all figures, summary.txt, which is printed.
# GPU_DAY=small: tiny sizes, for machines without a card (in the simulator, or by tests/devices/host_gpu).
[ $# -gt 0 ] || { sed -n '2,8s/^# *//p' "$0"; exit 2; }
mkdir -p "$1" && OUT=$(cd "$1" && pwd) || exit 2
shift
cd "$(dirname "$0")/.." || exit 2
cache=$(mktemp -d) && trap 'rm -rf "$cache"' EXIT
tests="$PWD/tests/helpers:$PWD/tests/devices:$PWD/tests/devices/host_gpu"
export PYTHONPATH="$PWD:$tests${PYTHONPATH:+:$PYTHONPATH}" NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-$cache}"
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLBACKEND=Agg
export XLA_PYTHON_CLIENT_PREALLOCATE=false          # JAX takes three quarters of a card otherwise

part() {    # name, seconds, file
    case " $chosen " in *" $1 "*) ;; *) return ;; esac
    GPU_DAY_SECONDS=$2 timeout -k 5 "$2" "${PYTHON:-python3}" "tests/gpu_day/$3" "$OUT" >"$OUT/$1.txt" 2>&1
    "${PYTHON:-python3}" tests/gpu_day/notes.py "$OUT" "$1" $?
}

chosen=${*:-about correctness sanitize speed profile}
part about "${ABOUT_SECONDS:-35}" about.py
part correctness "${CORRECTNESS_SECONDS:-140}" correctness.py
part sanitize "${SANITIZE_SECONDS:-50}" sanitize.py
part speed "${SPEED_SECONDS:-105}" speed.py
part profile "${PROFILE_SECONDS:-30}" kernel_times.py
"${PYTHON:-python3}" tests/gpu_day/summary.py "$OUT" | tee "$OUT/summary.txt"
