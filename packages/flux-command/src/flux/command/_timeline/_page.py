"""The style and the script of the page: constant, so that the page can name their digests."""

from __future__ import annotations

#: Colors that people who see few of them can tell apart (Okabe and Ito), brighter on dark.
STYLE = """
:root {
  --back: #fff; --text: #1d232b; --soft: #5c6672; --line: #e3e7ec; --hover: #f4f6f9;
  --new: #9aa3ad; --depend: #cc79a7; --priority: #009e73; --sched: #e69f00;
  --run: #0072b2; --cleanup: #56b4e9; --alarm: #c8102e;
  --good: #176f3d; --good-back: #e2f4e9; --bad: #a4122a; --bad-back: #fde8ea; --pill: #eceff3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14181d; --text: #e4e8ed; --soft: #9aa5b1; --line: #2b323b; --hover: #1c222a;
    --new: #7d8792; --depend: #d78bb6; --priority: #1bb98b; --sched: #f0b429;
    --run: #3b9ddd; --cleanup: #8fd0f5; --alarm: #ff5c70;
    --good: #7ddca4; --good-back: #17382a; --bad: #ff9aa6; --bad-back: #43191f; --pill: #2a313a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1500px; padding: 24px 28px 60px;
  background: var(--back); color: var(--text);
  font: 14px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { font-size: 21px; font-weight: 650; margin: 0 0 4px; }
header p, .none { color: var(--soft); margin: 0 0 14px; }
header .pill { margin: 0 4px 3px 0; }
.legend {
  display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; margin: 0 0 12px; padding: 0;
}
.legend li { font-size: 12px; letter-spacing: .02em; white-space: nowrap; }
.legend small { color: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.key { width: 13px; height: 13px; margin-right: 6px; vertical-align: -2px; }
table { border-collapse: collapse; width: 100%; table-layout: auto; }
th, td {
  padding: 0 10px; height: 27px; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap;
}
thead th {
  position: sticky; top: 0; z-index: 1; background: var(--back);
  color: var(--soft); font-size: 12px; font-weight: 600;
}
tbody tr:hover { background: var(--hover); }
tbody th {
  font-weight: 400; max-width: min(260px, 26vw); overflow: hidden; text-overflow: ellipsis;
}
th:first-child, td:first-child { padding-left: 2px; }
code {
  font: 12.5px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  display: inline-block; min-width: 9ch; color: var(--soft); margin-right: 6px;
}
.chart { width: 100%; min-width: 180px; padding: 0 8px; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.pill {
  display: inline-block; padding: 0 8px; border-radius: 9px; font-size: 12px; line-height: 18px;
  background: var(--pill); color: var(--text);
}
.pill.good { background: var(--good-back); color: var(--good); }
.pill.bad { background: var(--bad-back); color: var(--bad); }
svg { display: block; overflow: visible; }
.key { display: inline-block; }
.axis { width: 100%; height: 24px; }
.axis text {
  fill: var(--soft); font-size: 11px; font-weight: 400; font-variant-numeric: tabular-nums;
}
.bar { width: 100%; height: 26px; outline-offset: -1px; }
.bar:focus:not(:focus-visible) { outline: none; }
line { stroke: var(--line); shape-rendering: crispEdges; }
.axis line { stroke: var(--soft); }
.NEW { fill: var(--new); } .DEPEND { fill: var(--depend); } .PRIORITY { fill: var(--priority); }
.SCHED { fill: var(--sched); } .RUN { fill: var(--run); } .CLEANUP { fill: var(--cleanup); }
.open { fill-opacity: .55; }
.bar rect:hover, .bar rect.at { filter: brightness(1.12); }
.alarm { fill: var(--alarm); stroke: var(--back); stroke-width: 1.5; }
.mild { fill: var(--back); stroke: var(--alarm); }
#hair {
  position: absolute; width: 1px; background: var(--soft); opacity: .6; pointer-events: none;
}
#tip {
  position: absolute; z-index: 2; max-width: 420px; padding: 7px 11px; pointer-events: none;
  background: var(--text); color: var(--back); border-radius: 6px; font-size: 12px;
  white-space: pre-line; overflow-wrap: anywhere; box-shadow: 0 3px 14px rgb(0 0 0 / .25);
}
#tip b { display: block; margin-bottom: 3px; white-space: pre-line; }
[hidden] { display: none; }
/* Where there is little room, most of it is for the picture; the times are in its tooltips. */
@media (max-width: 640px) {
  body { padding: 16px 12px 40px; }
  th, td { padding: 0 5px; }
  tbody th { max-width: 112px; padding: 3px 5px; }
  tbody th code, tbody th span { display: block; overflow: hidden; text-overflow: ellipsis; }
  .chart { min-width: 100px; }
  .number, .axis text:nth-of-type(even) { display: none; }
}
@media print { thead th { position: static; } }
"""

#: Shows what the pointer or the keyboard is on.  Text is put into the page as text only.
SCRIPT = """
"use strict";
(() => {
  const tip = document.getElementById("tip"), hair = document.getElementById("hair");
  const body = document.querySelector("tbody");
  if (!body) return;
  const span = Number(body.dataset.span);
  // The browser's own tooltips would cover ours.
  for (const title of document.querySelectorAll(".bar title")) {
    title.parentNode.dataset.text = title.textContent;
    title.remove();
  }
  const text = (s) => s < 1 ? (s * 1e3).toFixed(s < 0.1 ? 1 : 0) + "ms"
    : s < 60 ? s.toFixed(2) + "s"
    : s < 3600 ? Math.floor(s / 60) + "m" + String(Math.floor(s % 60)).padStart(2, "0") + "s"
    : Math.floor(s / 3600) + "h" + String(Math.floor(s / 60) % 60).padStart(2, "0") + "m";
  const show = (bar, head, x, y) => {
    const bold = document.createElement("b");
    bold.textContent = head;
    tip.replaceChildren(...(head ? [bold] : []), bar.getAttribute("aria-label"));
    tip.hidden = false;
    const box = tip.getBoundingClientRect(), edge = document.documentElement.clientWidth - 8;
    tip.style.left = scrollX + Math.max(8, Math.min(x + 14, edge - box.width)) + "px";
    const below = y + 18 + box.height < innerHeight;
    tip.style.top = scrollY + (below ? y + 18 : Math.max(8, y - box.height - 14)) + "px";
  };
  const hide = () => { tip.hidden = hair.hidden = true; };
  body.addEventListener("pointermove", (event) => {
    const cell = event.target.closest("td.chart");
    if (!cell) { hide(); return; }
    const bar = cell.querySelector(".bar"), box = bar.getBoundingClientRect();
    const at = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    const all = body.getBoundingClientRect();
    hair.hidden = false;
    hair.style.left = scrollX + box.left + at * box.width + "px";
    hair.style.top = scrollY + all.top + "px";
    hair.style.height = all.height + "px";
    const head = event.target.dataset.text || "+" + text(at * span);
    show(bar, head, event.clientX, event.clientY);
  });
  body.addEventListener("pointerleave", hide);
  body.addEventListener("focusin", (event) => {
    if (!event.target.matches(".bar:focus-visible")) return;
    const box = event.target.getBoundingClientRect();
    show(event.target, "", box.left, box.bottom - 14);
  });
  body.addEventListener("focusout", hide);
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
"""
