"use strict";
// Without this script the page is the same, but for the line of a node, the keys and the zoom:
// nodes are links to their facts.
(() => {
  const chart = document.querySelector(".chart");
  const svg = chart.querySelector("svg");
  if (!svg) return;
  const nodes = [...svg.querySelectorAll(".node")];
  const links = [...svg.querySelectorAll("[data-from]")];
  const size = { width: svg.width.baseVal.value, height: svg.height.baseVal.value };
  const upstream = (id) => links.filter((link) => link.dataset.to === id).map((link) => link.dataset.from);
  const downstream = (id) => links.filter((link) => link.dataset.from === id).map((link) => link.dataset.to);
  const node = (id) => document.getElementById(`node-${id}`);
  const idOf = (element) => element.id.replace("node-", "");
  let chosen = null;

  const reach = (id, step, found = new Set([id])) => {
    for (const waiting = [id]; waiting.length; ) {
      for (const next of step(waiting.pop())) {
        if (!found.has(next)) {
          found.add(next);
          waiting.push(next);
        }
      }
    }
    return found;
  };

  const tell = (id) => {
    for (const each of nodes) each.classList.toggle("selected", idOf(each) === id);
    for (const section of document.querySelectorAll(".facts section")) {
      section.classList.toggle("shown", section.id === `facts-${id}`);
    }
    document.querySelector(".facts").scrollTop = 0;
  };

  const choose = (id) => {
    if (id === chosen) return;
    chosen = id;
    tell(id);
    const above = id === null ? new Set() : reach(id, upstream);
    const below = id === null ? new Set() : reach(id, downstream);
    svg.classList.toggle("chosen", id !== null);
    for (const each of nodes) {
      each.classList.toggle("of-line", above.has(idOf(each)) || below.has(idOf(each)));
    }
    for (const { classList, dataset } of links) {
      const isAbove = above.has(dataset.from) && above.has(dataset.to);
      const isBelow = below.has(dataset.from) && below.has(dataset.to);
      classList.toggle("of-line", isAbove || isBelow);
    }
    history.replaceState(null, "", id === null ? location.pathname + location.search : `#facts-${id}`);
  };

  const go = (element) => {
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest", inline: "nearest" });
  };

  const zoomTo = (scale) => {
    const before = svg.width.baseVal.value;
    const middle = { x: chart.scrollLeft + chart.clientWidth / 2, y: chart.scrollTop + chart.clientHeight / 2 };
    const factor = (Math.min(Math.max(scale, 0.1), 3) * size.width) / before;
    svg.setAttribute("width", before * factor);
    svg.setAttribute("height", svg.height.baseVal.value * factor);
    chart.scrollTo(middle.x * factor - chart.clientWidth / 2, middle.y * factor - chart.clientHeight / 2);
  };
  const scale = () => svg.width.baseVal.value / size.width;
  const fitting = () => Math.min(1, chart.clientWidth / size.width, chart.clientHeight / size.height);

  // Along the arrows, or from box to box in a layer; which keys that is, the drawing says.
  const isDown = svg.dataset.flow === "down";
  const [back, forth, before, after] = isDown
    ? ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]
    : ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
  const along = (element) => element.getBoundingClientRect()[isDown ? "top" : "left"];
  const across = (element) => element.getBoundingClientRect()[isDown ? "left" : "top"];

  const neighbour = (element, key) => {
    if (key === back) return node(upstream(idOf(element))[0]);
    if (key === forth) return node(downstream(idOf(element))[0]);
    if (key !== before && key !== after) return null;
    const gap = (other) => (across(other) - across(element)) * (key === after ? 1 : -1);
    const layer = nodes.filter((other) => Math.abs(along(other) - along(element)) < 1 && gap(other) > 0);
    return layer.sort((one, other) => gap(one) - gap(other))[0];
  };

  chart.addEventListener("focusin", (event) => {
    const focused = event.target.closest(".node");
    if (focused) choose(idOf(focused));
  });
  chart.addEventListener("click", (event) => {
    const clicked = event.target.closest(".node");
    if (clicked) clicked.focus({ preventScroll: true });
    else choose(null);
    event.preventDefault();
  });
  document.querySelector(".facts").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    go(node(link.hash.replace("#facts-", "")));
  });
  chart.addEventListener("keydown", (event) => {
    const focused = event.target.closest(".node");
    if (focused && event.key === "Escape") {
      focused.blur();
      choose(null);
    } else if (focused && event.key.startsWith("Arrow")) {
      event.preventDefault();
      const next = neighbour(focused, event.key);
      if (next) go(next);
    }
  });
  const buttons = {
    in: () => zoomTo(scale() * 1.25),
    out: () => zoomTo(scale() / 1.25),
    fit: () => zoomTo(fitting()),
    full: () => zoomTo(1),
  };
  for (const button of document.querySelectorAll(".zoom button")) {
    button.addEventListener("click", buttons[button.value]);
  }

  document.querySelector(".zoom").hidden = false;
  document.documentElement.classList.add("scripted");
  // Smaller than this, words can't be read; the rest is for scrolling.
  zoomTo(Math.max(fitting(), 0.65));
  const asked = location.hash.startsWith("#facts-") && node(location.hash.replace("#facts-", ""));
  const first = asked || svg.querySelector(".root") || nodes[0];
  if (asked) choose(idOf(asked));
  else tell(idOf(first));
  first.scrollIntoView({ block: "center", inline: "center" });
})();
