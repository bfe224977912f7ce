"use strict";
// The chart that a reader plays with: chooses among the embedded curves, and hands their points to Vega.
(() => {
  const read = (name) => JSON.parse(document.getElementById(`explore-${name}`).textContent);
  const all = read("series"), looks = read("looks"), names = read("names"), cut = read("floor");
  const form = document.querySelector("form.controls");
  const MEAN = "", FIELDS = ["model", "origin", "window", "span", "score", "method", "concept"];
  const minus = (text) => text.replace("-", "\u2212");
  const digits = (value) => (value === null || value === undefined ? "\u2013" : minus(value.toFixed(2)));

  function label(field, value) {
    if (field === "concept") {
      if (value === MEAN) return "mean over concepts";
      const one = all.find((it) => it.concept === value && it.model === form.elements.model.value);
      return one ? one.concept_name : value;
    }
    if (field === "method" && value === "all") return "mean over methods";
    return (names[field] || {})[value] || value.replaceAll("_", " ");
  }

  // The values of a field that the fields before it leave.
  function legal(field) {
    const before = FIELDS.slice(0, FIELDS.indexOf(field)).filter((name) => name !== "method");
    const left = all.filter((it) => before.every((name) => it[name] === form.elements[name].value));
    const values = [...new Set(left.map((it) => (field === "concept" ? it.concept ?? MEAN : it[field])))];
    // Means first; windows, spans and scores as the study names them; the rest by name.
    const known = names[field] ? Object.keys(names[field]) : ["all", MEAN];
    const place = (value) => (known.includes(value) ? known.indexOf(value) : known.length);
    return values.sort((a, b) => place(a) - place(b) || label(field, a).localeCompare(label(field, b)));
  }

  function fill() {
    for (const field of FIELDS) {
      const select = form.elements[field], values = legal(field);
      const wanted = values.includes(select.value) ? select.value : values[0];
      select.replaceChildren(...values.map((value) => new Option(label(field, value), value)));
      select.value = wanted;
      form.querySelector(`[data-field="${field}"]`).hidden = values.length < 2;
    }
    const floors = all.some((it) => it.donor !== "original" && it.model === form.elements.model.value);
    form.querySelector('[data-field="floor"]').hidden = !floors;
  }

  // One concept's mean over methods, point by point; null where a method has no value.
  function overMethods(list) {
    const groups = Map.groupBy(list, (it) => `${it.experiment} ${it.concept}`);
    return [...groups.values()].map((group) => ({
      ...group[0],
      method: "all",
      value: group[0].value.map((_, place) => {
        const values = group.map((it) => it.value[place] ?? null);
        return values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
      }),
    }));
  }

  function chosen() {
    const value = (name) => form.elements[name].value;
    const experiments = [...form.querySelectorAll('[name="experiment"]:checked')].map((box) => box.value);
    const same = all.filter((it) => experiments.includes(it.experiment)
      && ["model", "origin", "window", "span", "score"].every((name) => it[name] === value(name)));
    const method = value("method"), concept = value("concept");
    const means = same.filter((it) => it.concept === null && it.method === method);
    const alone = same.filter((it) => it.concept !== null);
    const singles = method === "all" ? overMethods(alone) : alone.filter((it) => it.method === method);
    return {
      mean: concept === MEAN ? means.filter((it) => it.donor === "original")
        : singles.filter((it) => it.concept === concept),
      single: form.elements.singles.checked ? singles.filter((it) => it.concept !== concept) : [],
      floor: form.elements.floor.checked ? means.filter((it) => it.donor !== "original") : [],
    };
  }

  function points(kind, it, which) {
    const title = kind === "floor" ? `control: ${it.donor.replaceAll("_", " ")}`
      : it.concept === null ? `mean, ${label("method", it.method)}` : `${it.concept_name}, ${label("method", it.method)}`;
    let run = 0;
    return it.layer.map((layer, place) => {
      const value = it.value[place], low = it.low?.[place] ?? null, high = it.high?.[place] ?? null;
      if (value === null) run += 1; // a line is broken where there is no value, not bridged
      return {
        kind, run: `${kind} ${which} ${run}`, name: title, experiment: it.experiment,
        label: looks[it.experiment].label, layer, covers: `${it.first[place]}\u2013${it.last[place]}`,
        value, low, high, interval: low === null ? "none" : `${digits(low)} to ${digits(high)}`,
        n: it.n ? it.n[place] : 1,
      };
    }).filter((point) => point.value !== null);
  }

  function rows() {
    const curves = chosen();
    return Object.entries(curves).flatMap(([kind, list]) => list.flatMap((it, which) => points(kind, it, which)));
  }

  function describe(data) {
    const value = (name) => form.elements[name].value;
    const parts = [value("model"), label("method", value("method")), label("concept", value("concept"))];
    document.getElementById("chart-title").textContent = `${parts.join(", ")}.`;
    const below = data.filter((row) => row.value < cut), none = data.length ? "" : " Nothing is chosen that has a value.";
    const said = ["window", "span", "score"].map((name) => label(name, value(name))).join(", ");
    const setting = said[0].toUpperCase() + said.slice(1);
    const banded = data.some((row) => row.low !== null) ? " Bands: 95 % bootstrap intervals over concepts." : "";
    const hidden = below.length
      ? ` ${below.length} values lie below the axis, the lowest ${digits(Math.min(...below.map((row) => row.value)))}.` : "";
    const place = names.place[value("window")];
    document.getElementById("chart-note").textContent = `${setting}. ${place}.${banded}${hidden}${none}`;
  }

  function numbers(data) {
    const heads = [], lines = new Map();
    for (const row of data.filter((one) => one.kind !== "single")) {
      const head = `${row.label}, ${row.name}`;
      if (!heads.includes(head)) heads.push(head);
      if (!lines.has(row.layer)) lines.set(row.layer, new Map());
      lines.get(row.layer).set(head, row.interval === "none" ? digits(row.value) : `${digits(row.value)} (${row.interval})`);
    }
    const table = document.getElementById("chart-numbers");
    const line = (tag, texts) => {
      const made = document.createElement("tr");
      texts.forEach((text, place) => {
        const cell = document.createElement(place && tag === "td" ? "td" : "th");
        cell.scope = tag === "th" ? "col" : "row";
        cell.textContent = text;
        cell.className = "number";
        made.append(cell);
      });
      return made;
    };
    table.tHead.replaceChildren(line("th", ["layer", ...heads]));
    const layers = [...lines.keys()].sort((a, b) => a - b);
    table.tBodies[0].replaceChildren(...layers.map((layer) =>
      line("td", [String(layer), ...heads.map((head) => lines.get(layer).get(head) ?? "\u2013")])));
  }

  fill();
  const spec = { ...read("spec"), datasets: undefined };
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: false };
  window.chart = vegaEmbed("#chart", spec, options).then(({ view }) => {
    function draw() {
      fill();
      const data = rows();
      const lowest = Math.min(-0.1, ...data.map((row) => Math.min(row.value, row.low ?? row.value)));
      const layers = all.find((it) => it.donor === "original" && FIELDS.slice(0, 3).every((name) => it[name] === form.elements[name].value)).layer;
      view.signal("lowest", Math.max(cut, lowest - 0.02)).signal("first", Math.min(...layers))
        .signal("last", Math.max(...layers)).data("rows", data).run();
      view.description(document.getElementById("chart-title").textContent);
      describe(data);
      numbers(data);
    }
    form.addEventListener("change", draw);
    form.addEventListener("submit", (event) => event.preventDefault());
    document.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => {
      for (const [field, value] of Object.entries(JSON.parse(button.dataset.show))) {
        form.elements[field].value = value;
        fill();
        form.elements[field].value = value;
      }
      draw();
      document.getElementById("explore").scrollIntoView();
      form.elements.concept.focus({ preventScroll: true });
    }));
    draw();
    return view;
  });
})();
