"""How hz3 stands against the best other allocator on every workload: the tables of doc/performance.md, as Markdown."""

from lab import figures

# How the versions begin of those whose leanest is what hz3's peak memory is compared with.
_LEAN = ("snmalloc", "rpmalloc", "mimalloc-2", "jemalloc")
_WORDS = {"faster": "ahead", "slower": "behind"}


def table(results, own, lean):
    """A row per workload: the best peer, the ratios of our kinds to it and to each other, and peak memory."""
    first = own[0]
    heads = ["workload", "best peer", *["%s / best" % name for name in own], "", *["%s / %s" % (first, n) for n in own[1:]],
             "peak, MiB", "leanest, MiB", "peak / leanest"]
    rows = [heads, ["---"] * 3 + ["---"] * (len(heads) - 6) + ["--:"] * 3]
    for variant in results.variants.values():
        standings = [results.standing(variant, name) for name in own]
        peer = next((s[1] for s in standings if s), None) or "-"
        rows.append([variant.name, peer, *map(_ratio, standings), _word(standings[0]),
                     *[_spread(results.speed_ratio(variant, first, name)) for name in own[1:]],
                     *_memory(results, variant, first, lean)])
    return ["| %s |" % " | ".join(row) for row in rows]


def means(results, reference):
    """Geometric means of the ratios to one of ours over the workloads that both can do, best first."""
    found = {}
    for name in results.allocators:
        ratios = [results.speed_ratio(v, name, reference) for v in results.variants.values()]
        mean = figures.geometric_mean([r.median for r in ratios if r is not None])
        if mean is not None:
            found[name] = mean
    ranked = sorted(found.items(), key=lambda item: -item[1])
    return ["Geometric means of speed, %s = 1: %s." % (reference, ", ".join("%s %.2f" % item for item in ranked))]


def lean_allocators(results):
    """The allocators that hz3's memory is compared with."""
    return [n for n, a in results.allocators.items() if not a.ours and any(a.version.startswith(lean) for lean in _LEAN)]


def _ratio(standing):
    return "-" if standing is None else "failed" if standing[2] is None else _spread(standing[2])


def _spread(ratio):
    return "-" if ratio is None else "%.2f (%.2f-%.2f)" % (ratio.median, ratio.low, ratio.high)


def _word(standing):
    return _WORDS.get(standing[0], standing[0]) if standing else "-"


def _memory(results, variant, own, lean):
    """Our peak, the leanest one's, and their ratio."""
    peaks = {}
    for name in [own, *lean]:
        cell = results.cell(variant.name, name)
        peak = cell.median("rss_peak_kib") if cell is not None else None
        if peak:
            peaks[name] = peak / 1024
    mine = peaks.pop(own, None)
    least = min(peaks, key=peaks.get) if peaks else None
    return ["%.0f" % mine if mine else "-", "%.0f (%s)" % (peaks[least], least) if least else "-",
            "%.2f" % (mine / peaks[least]) if mine and least else "-"]
