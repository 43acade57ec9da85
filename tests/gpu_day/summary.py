"""summary.py OUT prints what gpu_day.sh found, in at most 60 lines."""

import sys
from textwrap import wrap

from notes import read

WIDE, LINES = 118, 60
LIMITS = ("in_kernels", "of_copy", "of_peak")


def about(found):
    have = found.get("versions", {})
    yield f"{found.get('card')}; {found.get('machine')}"
    yield ", ".join(f"{name} {version}" for name, version in have.items() if version != "-")
    yield "missing: " + (", ".join(name for name, version in have.items() if version == "-") or "nothing")
    if "copy" in found:
        vendor = found.get("product_of_torch")
        others = f", the vendor's {vendor / 1e9:,.0f}" if vendor else ""
        yield (f"{found['device']}: copy {found['copy'] / 1e9:,.1f} GB/s, "
               f"our product {found['product'] / 1e9:,.0f} GFLOP/s{others}")


def correctness(found):
    counts = {how: n for how, n in found.get("tests", {}).items() if n}
    yield "tests of the device: " + (", ".join(f"{n} {how}" for how, n in counts.items()) or "none ended")
    nets = found.get("networks")
    if nets:
        yield (f"random networks: {nets['done']} of {nets['of']}, {len(nets['wrong'])} wrong; "
               f"{nets['flips']} of {nets['samples']} samples with a flip; "
               f"{nets['silent']} of {nets['spiking']} spiking ones silent, {nets['overflow']} overflow")
        yield "largest, in bounds: " + ", ".join(f"{key} {value:.3f} (network {seed})"
                                                 for key, (value, seed) in nets["largest"].items())
        yield f"the same bytes twice: {nets['twice']}; in pieces: {nets['pieces']}"
        yield from (f"  network {seed}: {'; '.join(said)}" for seed, *said in nets["wrong"][:6])
    if found.get("stopped"):
        yield "stopped by the time limit: " + ", ".join(found["stopped"])


def sanitize(found):
    yield str(found.get("program"))
    yield from (f"{tool}: {said}" for tool, said in found.get("tools", {}).items())


def speed(found):
    for case, facts in found.get("cases", {}).items():
        if facts["ended"] != "done":
            yield f"{case}: {facts['ended']}"
        for label, parts in facts.get("cases", {}).items():
            yield from _of_case(label, parts)
    epoch = found.get("epoch")
    if epoch:
        yield (f"epoch of S-MNIST 2020, B = {epoch['batch']}: {epoch['seconds']:.1f} s "
               f"(from {epoch['batches']} batches), {100 * epoch['in_kernels']:.0f} % in kernels")
    elif "epoch_ended" in found:
        yield f"epoch of S-MNIST 2020: {found['epoch_ended']}"


def _of_case(label, facts):
    whole = [name for name in ("step", "run") if name in facts["parts"]] or list(facts["parts"])
    parts = [facts["parts"][name] for name in whole]
    share = []
    for part in parts:
        share += [f"{100 * part[key]:.0f} % {key.replace('_', ' ')}" for key in LIMITS if key in part]
    times = [f"{peer} {of['ratio']['median']:.1f}" if "ratio" in of else f"{peer} differs"
             for peer, of in facts["peers"].items()]
    milliseconds = 1e3 * sum(part["median"] for part in parts)
    yield f"{label}: {milliseconds:.3f} ms ({', '.join(share)}); times ours: {', '.join(times) or 'nobody'}"


def profile(found):
    for label, of in found.get("steps", {}).items():
        wall = of["wall"]
        kernels, python = of["kernels"] / wall, 1 - of["waited"] / wall
        yield (f"{label}: {1e3 * wall:.3f} ms; {of['launches']} kernels {100 * kernels:.0f} %, "
               f"gaps {100 * (1 - kernels):.0f} %, Python {100 * python:.0f} %, {of['waits']} waits")
        longest = [f"{name} {1e6 * seconds:.0f} us ({times})" for name, seconds, times in of["longest"][:3]]
        yield "  " + ", ".join(longest)


PARTS = {"about": about, "correctness": correctness, "sanitize": sanitize, "speed": speed, "profile": profile}


def lines(everything):
    """What all parts found, each its heading at least; of a part that says much the first lines."""
    told = {part: list(_told(PARTS[part], everything[part])) for part in PARTS if part in everything}
    while sum(len(said) + 1 for said in told.values()) > LINES:
        longest = max(told.values(), key=len)
        longest[-2:] = ["... more in found.json"]
    for part, said in told.items():
        yield f"== {part}: {everything[part].get('ended', 'has not ended')}"
        yield from said


def _told(part, found):
    try:
        for line in part(found):
            yield from wrap(line, WIDE, subsequent_indent="    ", drop_whitespace=True)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        yield f"what it found cannot be told, see found.json: {error!r}"


if __name__ == "__main__":
    print("\n".join(lines(read(sys.argv[1]))))
