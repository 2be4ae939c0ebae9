"""Puts the parts of a report into one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from detectors.report.figures import figures
from detectors.report.transcript import Pair, conversations

_STYLE = """
:root { color-scheme: light dark; --ground: #fbfaf8; --card: #fff; --ink: #1d2126;
  --soft: #626b75; --rule: #e2e0dc; --a: #c8372d; --b: #2b6cb0; --c: #8a6d1f;
  --good: #27734a; --w1: #fff3c9; --w2: #ffdf8e; --w3: #ffb9a8; --broad: #8a6d1f; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181c; --card: #1d2126;
  --ink: #e8e6e3; --soft: #9aa3ad; --rule: #343a42; --a: #ff7a6b; --b: #6fb1f0;
  --c: #d9b54a; --good: #6cc796; --w1: #4a431f; --w2: #6b5514; --w3: #7d2f26;
  --broad: #d9b54a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
.note, .facts { color: var(--soft); } .note { font-size: 13.5px; margin: 6px 0 12px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 10px 16px; min-width: 130px; }
.tile b { display: block; font-size: 22px; font-weight: 600; }
.tile span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; font-weight: 400; }
thead th { color: var(--soft); font-size: 13px; }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; }
.figures td:last-child { color: var(--soft); font-size: 13.5px; }
.figures td { white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 16px;
  margin-top: 18px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 12px; }
figcaption { font-weight: 600; margin: 0 0 6px 4px; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
svg .grid { stroke: var(--rule); } svg .mark { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.ideal { stroke: var(--soft); stroke-dasharray: 5 4; stroke-width: 1.2; }
svg .thin { stroke-width: 1.5; } svg .thick { stroke-width: 7; stroke-linecap: round;
  opacity: .45; }
svg .a { stroke: var(--a); } svg .b { stroke: var(--b); } svg .c { stroke: var(--c); }
svg .dot.a { fill: var(--a); } svg .dot.b { fill: var(--b); } svg .dot.c { fill: var(--c); }
svg.spark { width: 120px; height: 24px; flex: none; }
#filter { width: 100%; padding: 8px 12px; border: 1px solid var(--rule); border-radius: 8px;
  background: var(--card); color: var(--ink); font: inherit; margin-bottom: 10px; }
details { background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  margin-bottom: 6px; padding: 0 14px; }
summary { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; padding: 8px 0;
  cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
.verdict { font-size: 12.5px; border-radius: 10px; padding: 1px 9px; border: 1px solid;
  color: var(--soft); min-width: 96px; text-align: center; }
.verdict.missed, .verdict.false-alarm { color: var(--a); font-weight: 600; }
.verdict.caught { color: var(--good); } .verdict.alarm { color: var(--a); }
.id { font-weight: 600; flex: 1 1 190px; overflow-wrap: anywhere; }
.risk { min-width: 104px; font-variant-numeric: tabular-nums; }
.risk.high, .risk.critical { color: var(--a); } .risk.medium { color: var(--c); }
.facts { font-size: 13px; flex: 1 1 220px; }
dl { display: flex; flex-wrap: wrap; gap: 2px 8px; font-size: 13.5px; margin: 2px 0 8px; }
dt { color: var(--soft); } dd { margin: 0 14px 0 0; }
.turns { font-size: 14.5px; margin-bottom: 12px; }
.turns td.num { width: 44px; color: var(--soft); padding-right: 10px; }
.turns td.who { color: var(--soft); width: 84px; }
.turns tr.alarm td { background: color-mix(in srgb, var(--a) 13%, transparent); }
.turns tr.alarm td:first-child { box-shadow: inset 3px 0 var(--a); }
mark { color: inherit; border-radius: 3px; } mark.w1 { background: var(--w1); }
mark.w2 { background: var(--w2); } mark.w3 { background: var(--w3); }
mark.broad { background: none; text-decoration: underline dotted var(--broad) 1.5px;
  text-underline-offset: 4px; }
[hidden] { display: none; }
"""
_SCRIPT = """
const calls = [...document.querySelectorAll('#calls > details')];
const texts = calls.map(call => call.textContent.toLowerCase());
document.getElementById('filter').addEventListener('input', event => {
  const words = event.target.value.toLowerCase().split(/\\s+/).filter(Boolean);
  calls.forEach((call, at) => { call.hidden = !words.every(word => texts[at].includes(word)); });
});
"""


def page(pairs: Sequence[Pair]) -> str:
    """Make the report of conversations and what was made of them.

    Transcripts are in it as they are: treat the file like the calls themselves.
    """
    traces = [trace for _, trace in pairs]
    version = next((trace.model_version for trace in traces), "")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Scam detection report</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>Scam detection report</h1><p class=note>{escape(version)}</p>{_tiles(pairs)}"
        f"{figures(traces)}{conversations(pairs)}</main><script>{_SCRIPT}</script></body></html>\n"
    )


def _tiles(pairs: Sequence[Pair]) -> str:
    traces = [trace for _, trace in pairs]
    alarms = [trace for trace in traces if trace.alarm_turn is not None]
    tiles = [(f"{len(traces):,}", "conversations"), (f"{len(alarms):,}", "alarms")]
    times = sorted(trace.alarm_seconds or 0.0 for trace in alarms)
    if times:
        tiles.append((f"{times[len(times) // 2]:.0f} s", "median time to alarm"))
    for label, name in (("scam", "of scams alarmed"), ("benign", "of benign alarmed")):
        group = [trace for trace in traces if trace.label == label]
        if group:
            share = sum(trace.alarm_turn is not None for trace in group) / len(group)
            tiles.append((f"{share:.1%}", f"{name} ({len(group):,})"))
    shown = "".join(
        f"<div class=tile><b>{value}</b><span>{name}</span></div>" for value, name in tiles
    )
    return f"<div class=tiles>{shown}</div>"
