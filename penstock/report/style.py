"""The style sheet of all pages: system fonts, two themes, one column that is 400 px or more.

Colours are checked for contrast: text 4.5:1 and marks 3:1 on the card they stand on, in both themes
(tests/unit/test_report_page.py).
"""

from __future__ import annotations

#: Colours by theme; ``s0`` to ``s3`` are what charts are drawn with, in that order.
LIGHT = {
    "ground": "#f6f7f9",
    "card": "#ffffff",
    "text": "#1b2430",
    "soft": "#55606e",
    "rule": "#d9dee5",
    "track": "#e9edf2",
    "link": "#0b5cad",
    "good": "#1d6b36",
    "warn": "#8a5300",
    "bad": "#b3261e",
    "s0": "#2a6fbb",
    "s1": "#c2560c",
    "s2": "#1e8262",
    "s3": "#8454b5",
}
DARK = {
    "ground": "#12161c",
    "card": "#1b2129",
    "text": "#e6eaf0",
    "soft": "#a9b4c2",
    "rule": "#343d49",
    "track": "#2a323d",
    "link": "#7ab8ff",
    "good": "#7fd699",
    "warn": "#f0b95c",
    "bad": "#ff9a92",
    "s0": "#5aa2ec",
    "s1": "#f08c45",
    "s2": "#4fbf98",
    "s3": "#b68ee6",
}


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);overflow-wrap:anywhere;
 font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header,nav,main{max-width:1320px;margin:0 auto;padding:0 16px}
header{padding-top:20px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px}
h2{font-size:1.15rem;margin:32px 0 8px}
h3{font-size:1rem;margin:16px 0 6px}
header p{color:var(--soft);margin:0}
main{padding-bottom:48px}
a{color:var(--link)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;margin:12px 0 0;padding:0}
section>p{color:var(--soft);margin:0 0 10px;max-width:80ch}
.scroll{overflow-x:auto;max-width:100%}
section>.scroll,.beside .scroll,.card,.facts>div,details{
 background:var(--card);border:1px solid var(--rule);border-radius:8px}
section>.scroll,.beside .scroll,.card,details{padding:10px 12px;margin:0 0 12px}
table{border-collapse:collapse;width:100%;overflow-wrap:normal}
caption{text-align:left;color:var(--soft);padding-bottom:6px}
th,td{text-align:left;padding:4px 12px 4px 0;border-top:1px solid var(--rule);vertical-align:top}
thead th{border-top:0;color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:600}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.facts{display:grid;gap:10px;margin:0 0 12px;
 grid-template-columns:repeat(auto-fit,minmax(140px,1fr))}
.facts>div{padding:8px 12px}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.15rem;font-weight:600;font-variant-numeric:tabular-nums}
.beside{display:grid;gap:0 12px;align-items:start;
 grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}
.beside>div{min-width:0}
.cards{display:grid;margin:0 0 12px;
 grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:12px;
 align-items:start}
.card{margin:0;min-width:0}
.card:has(.scroll){grid-column:1/-1}
.note{border-left:4px solid var(--soft);padding:6px 12px;background:var(--card);color:var(--text)}
.note.good{border-color:var(--good)}.note.warn{border-color:var(--warn)}.note.bad{border-color:var(--bad)}
.badge{font-weight:600;white-space:nowrap}
.badge.good{color:var(--good)}.badge.warn{color:var(--warn)}.badge.bad{color:var(--bad)}
.badge.plain{color:var(--soft)}
code{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;font-size:.9em}
summary{cursor:pointer;font-weight:600}
figure{margin:0}
figcaption{font-weight:600;margin-bottom:4px}
svg{display:block;width:100%;height:auto;max-width:560px}
svg text{fill:var(--text);font-size:11px}
svg .label{font-size:12px}
svg .tick{fill:var(--soft)}
svg .end{text-anchor:end}svg .middle{text-anchor:middle}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .track{fill:var(--track)}
svg .dot{fill:var(--s0);fill-opacity:.55}
svg .s0{fill:var(--s0)}svg .s1{fill:var(--s1)}svg .s2{fill:var(--s2)}svg .s3{fill:var(--s3)}
svg .line{fill:none;stroke-width:1.8}
svg .line.s0{stroke:var(--s0)}svg .line.s1{stroke:var(--s1)}
svg .line.s2{stroke:var(--s2);stroke-dasharray:6 3}
svg .line.s3{stroke:var(--s3);stroke-dasharray:2 3}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 14px;margin:4px 0 0;padding:0;
 color:var(--soft);font-size:.85rem}
.key{display:inline-block;width:12px;height:12px;
 border-radius:2px;margin-right:6px;vertical-align:-1px}
.key.s0{background:var(--s0)}.key.s1{background:var(--s1)}
.key.s2{background:var(--s2)}.key.s3{background:var(--s3)}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
)
