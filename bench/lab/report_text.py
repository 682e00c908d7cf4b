"""What the page says in words: the verdict, computed from the data, and what the numbers mean."""

from lab import page
from lab.figures import ROUNDS_FOR_VERDICT, geometric_mean
from lab.report_data import GROUPS

# Which of our configurations the verdict is about: the first of these that ran.
_CANDIDATES = ("hz3-page", "hz3-auto", "hz3-central", "hz3")
_PROSE = {"hz3-page": "hz3's page sink", "hz3-auto": "hz3 with its automatic choice of sink",
          "hz3-central": "hz3's central sink"}


def group_title(group):
    """A group's heading."""
    return GROUPS.get(group, group.capitalize())


def main_configuration(results):
    """The configuration that the verdict is about, or None."""
    ours = [n for n in results.allocators if results.allocators[n].ours]
    ran = [n for n in ours if any(results.cell(v, n) and results.cell(v, n).ok for v in results.variants)]
    return next((n for n in _CANDIDATES if n in ran), ran[0] if ran else None)


class Standings:
    """How one of our configurations stands against the best peer, workload by workload."""

    def __init__(self, results, name):
        self.name = name
        found = [(v, results.standing(v, name)) for v in results.variants.values()]
        self.all = [(v,) + s for v, s in found if s is not None]

    def count(self, word, groups=None):
        """How many workloads ended so."""
        return sum(w == word and (groups is None or v.group in groups) for v, w, _, _ in self.all)

    def total(self, groups=None):
        """How many there are."""
        return sum(groups is None or v.group in groups for v, _, _, _ in self.all)

    def having(self, word):
        """Those that ended so."""
        return [s for s in self.all if s[1] == word]

    def claim(self, groups):
        """first in a, level with the best peer in b, slower than it in c and failing in d."""
        parts = ["first in %s" % (self.count("faster", groups) or "none")]
        for word, prose in (("tie", "level with the best peer in %d"), ("slower", "slower than the best peer in %d"),
                            ("-", "measured in too few rounds to tell in %d"), ("failed", "failing in %d")):
            n = self.count(word, groups)
            if n:
                parts.append(prose % n)
        return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]


def mean_ratio(results, name, groups, get):
    """(geometric mean of the median ratios, how many there are) of an allocator over some groups."""
    ratios = [get(v, name) for v in results.of_group(*groups)]
    medians = [r.median for r in ratios if r is not None]
    return geometric_mean(medians), len(medians)


def mean_speed(results, name, groups):
    """The same of speeds, to the reference."""
    return mean_ratio(results, name, groups, results.speed_ratio)


def mean_peak(results, name, groups):
    """The same of the highest memory."""
    return mean_ratio(results, name, groups, lambda v, n: results.value_ratio(v, n, "rss_peak_kib"))


def verdict(results, broken):
    """The first paragraphs of the page; broken are cells with a run that went wrong, by (variant, allocator)."""
    name = main_configuration(results)
    if not any(c.ok for c in results.cells.values()):
        return page.paragraph("<span class='bad'>No run ended well</span>: there is nothing to compare.",
                              "verdict") + _failures(broken)
    if name is None:
        text = page.paragraph("No configuration of hz3 ended a run: this page compares others.", "verdict")
        return text + _failures(broken)
    standings = Standings(results, name)
    who = page.escape(_PROSE.get(name, name)) + (" (<code>%s</code>)" % page.escape(name) if name in _PROSE else "")
    return (page.paragraph(_claims(results, name, who, standings), "verdict") + _losses(standings)
            + _failures(broken))


def _claims(results, name, who, standings):
    """A sentence on the remote workloads, and one on the others."""
    remote, others = ("remote",), tuple(g for g in results.groups() if g != "remote")
    claims = [(page.count(standings.total(groups), what), standings.claim(groups) + _means(results, name, groups))
              for groups, what in ((remote, "remote workload"), (others, "other workload"))
              if standings.total(groups)]
    if not claims:
        return "On this machine %s ran, but no other allocator did on the same workloads." % who
    (first, claim), rest = claims[0], claims[1:]
    return " ".join(["On this machine %s is, of %s, %s." % (who, first, claim)]
                    + ["Of %s it is %s." % pair for pair in rest])


def _means(results, name, groups):
    """"; in the geometric mean it has 1.9 times the speed of mimalloc, and 0.8 times its peak memory"."""
    if name == results.reference:
        return ""
    speed, n = mean_speed(results, name, groups)
    peak, _ = mean_peak(results, name, groups)
    if speed is None:
        return ""
    text = "; %s it has %s times the speed of %s" % ("in the geometric mean" if n > 1 else "where both ran",
                                                     page.ratio(speed), page.escape(results.reference))
    return text + (", and %s times its peak memory" % page.ratio(peak) if peak is not None else "")


def _losses(standings):
    """Where a peer is faster, the worst first."""
    losses = sorted(standings.having("slower"), key=lambda s: s[3].median)
    if not losses:
        return ""
    return (page.paragraph("<strong>Slower than the best peer</strong>, as a part of that peer's speed:")
            + page.items(["<code>%s</code> %s of %s <span class='dim'>(%s)</span>"
                          % (page.escape(v.name), page.ratio(r.median), page.escape(peer), page.escape(v.title))
                          for v, _, peer, r in losses], "columns"))


def _failures(broken):
    """Every cell in which something went wrong, by allocator and by what it was."""
    by_allocator = {}
    for (variant, allocator), cell in broken.items():
        by_allocator.setdefault(allocator, {}).setdefault(cell.complaint, []).append(variant)
    if not by_allocator:
        return ""
    return page.paragraph("<strong class='bad'>Runs that went wrong</strong>") + page.items(
        ["<strong>%s</strong> %s" % (page.escape(name), "; ".join(
            "<span class='bad'>%s</span> in %s" % (page.escape(what), page.escape(_some(variants)))
            for what, variants in kinds.items())) for name, kinds in by_allocator.items()])


def _some(names, most=8):
    """The first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (" and %d more" % more if more > 0 else "")


def standings_table(results, palette):
    """Every configuration of ours against the best peer, over all workloads."""
    found = [Standings(results, n) for n, a in results.allocators.items() if a.ours]
    words = {"faster": "first", "tie": "level", "slower": "slower", "-": "too few rounds", "failed": "failed"}
    words = {w: head for w, head in words.items() if w != "-" or any(s.count(w) for s in found)}
    rows = [(page.name(s.name, palette),
             [page.cell(s.count(w), "bad" if w == "failed" and s.count(w) else "") for w in words]
             + [page.cell(s.total())]) for s in found if s.total()]
    return page.table(["allocator", *words.values(), "workloads"], rows,
                      "Configurations of hz3 against the best peer of each workload") if rows else ""


def means_table(results, palette):
    """Geometric means of the ratios to the reference, by group."""
    groups = results.groups()
    rows = []
    for name in results.allocators:
        means = [mean_speed(results, name, (g,)) for g in groups]
        if any(n for _, n in means):
            peak = mean_peak(results, name, groups)[0]
            rows.append((page.name(name, palette),
                         [page.cell("%s <span class='dim'>%d</span>" % (page.ratio(m), n) if n else "-")
                          for m, n in means] + [page.cell(page.ratio(peak))]))
    heads = ["allocator"] + [page.escape(group_title(g)) for g in groups] + ["Peak RSS, all"]
    return page.table(heads, rows, "Geometric mean of the ratios to %s, and over how many workloads (speed: more is "
                                   "better; memory: less is)" % results.reference) if rows else ""


def how_to_read(results):
    """What ratio, tie and spread mean here."""
    rounds = max((len(c.runs) for c in results.cells.values()), default=0)
    few = (" <strong>There were fewer than %d rounds, too few to tell faster from slower.</strong>" % ROUNDS_FOR_VERDICT
           if 0 < rounds < ROUNDS_FOR_VERDICT else "")
    reference = page.escape(results.reference)
    return """<dl>
<dt>Round</dt><dd>In each round every allocator runs every workload once, so that a change of the machine's mood hits
all alike. A figure is the median of the rounds, its spread goes from the lowest to the highest.%s</dd>
<dt>Ratio</dt><dd>To %s, as speed: 2 is twice as fast, also where seconds are measured. It is computed pair by
pair within the rounds; what is shown is the median of these ratios, and the bars in the plots are their lowest and
highest.</dd>
<dt>Tie</dt><dd>The ratios of some rounds are above 1 and those of others below: the difference is within the
spread.</dd>
<dt>First, level, slower</dt><dd>Against the best peer: of all allocators that are not hz3, the one with the best
median on that workload. Level is a tie.</dd>
<dt>RSS</dt><dd>Resident memory of the process, with the workload's own. Peak: the most at any time. Idle: a while
after the work has ended.</dd>
<dt>Remote</dt><dd>A free by another thread than the one that allocated the block.</dd>
<dt><span class="bad">crash, time-out, wrong contents, failed</span></dt><dd>Results too: the process died, didn't end
in time, found in a block something else than it wrote, or ended with an error.</dd>
</dl>""" % (few, reference)


def machine(results, instructions, palette):
    """Where, when, by which command, and which mappings were really loaded."""
    host = results.host
    memory = host.get("memory_kib")
    facts = [("Machine", _joined([host.get("model"), host.get("cpus") and page.count(host["cpus"], "processor")
                                  if isinstance(host.get("cpus"), int) else None,
                                  "%.1f GiB" % (memory / 1048576) if isinstance(memory, (int, float)) else None])),
             ("System", _joined([host.get("system"), host.get("kernel")])),
             ("Date", page.escape(results.date)),
             ("Command", results.command and "<code>%s</code>" % page.escape(results.command)),
             ("Runs", _joined([results.rounds and page.count(results.rounds, "round"),
                               results.seconds and "%g s each" % results.seconds, results.quick and "quick"]))]
    if instructions and instructions.command:
        facts.append(("Instructions", "<code>%s</code>" % page.escape(instructions.command)))
    listed = "".join("<dt>%s</dt><dd>%s</dd>" % (k, v) for k, v in facts if v)
    return "<dl>%s</dl>%s" % (listed, _mappings(results, palette))


def _joined(values):
    return ", ".join(page.escape(v) for v in values if v)


def _mappings(results, palette):
    """What every allocator was asked to be, and what its runs said that they ran on."""
    rows = []
    for name, allocator in results.allocators.items():
        runs = [r for (_, n), c in results.cells.items() if n == name for r in c.runs]
        versions = list(dict.fromkeys(str(r.values["version"]) for r in runs if r.values.get("version")))
        loaded = list(dict.fromkeys(str(r.values["lib"]) for r in runs if r.values.get("lib")))
        rows.append((page.name(name, palette), [
            page.cell(page.escape(", ".join(versions) or allocator.version or "-"), "text"),
            page.cell("<code>%s</code>" % page.escape(", ".join(loaded)) if loaded
                      else "<span class='dim'>never loaded</span>", "text"),
            page.cell("<code>%s</code>" % page.escape(allocator.conf) if allocator.conf else "", "text")]))
    heads = ["allocator", "version", "mapping that malloc came from", "settings"]
    return page.table(heads, rows, "Allocators, as loaded", heads) if rows else ""
