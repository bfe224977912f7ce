"use strict";
// The chart that a reader plays with: chooses among the embedded curves, and hands their points to Vega.
(() => {
  const read = (name) => JSON.parse(document.getElementById(`explore-${name}`).textContent);
  const all = read("series"), looks = read("looks"), names = read("names"), cut = read("floor");
  const form = document.querySelector("form.controls");
  const MEAN = "", FIELDS = ["model", "origin", "window", "span", "score", "method", "concept"];
  const minus = (text) => text.replace("-", "\u2212");
  const digits = (value) => (value === null || value === undefined ? "\u2013" : minus(value.toFixed(2)));

  const chosen = (field) => form.elements[field].value;
  const isChosen = (...fields) => (curve) => fields.every((field) => curve[field] === chosen(field));

  function label(field, value) {
    if (field === "concept") {
      if (value === MEAN) return "mean over concepts";
      return all.find((it) => it.concept === value && it.model === chosen("model"))?.concept_name ?? value;
    }
    if (field === "method" && value === "all") return "mean over methods";
    return names[field]?.[value] ?? value.replaceAll("_", " ");
  }

  // The values of a field that the fields before it leave.
  function allowed(field) {
    const before = FIELDS.slice(0, FIELDS.indexOf(field)).filter((name) => name !== "method");
    const left = all.filter(isChosen(...before));
    const values = [...new Set(left.map((it) => it[field] ?? MEAN))];
    // Means first; windows, spans and scores as the study names them; the rest by name.
    const known = names[field] ? Object.keys(names[field]) : ["all", MEAN];
    const place = (value) => (known.includes(value) ? known.indexOf(value) : known.length);
    return values.sort((a, b) => place(a) - place(b) || label(field, a).localeCompare(label(field, b)));
  }

  function fill() {
    for (const field of FIELDS) {
      const select = form.elements[field], values = allowed(field);
      const wanted = values.includes(select.value) ? select.value : values[0];
      select.replaceChildren(...values.map((value) => new Option(label(field, value), value)));
      select.value = wanted;
      form.querySelector(`[data-field="${field}"]`).hidden = values.length < 2;
    }
    const floors = all.filter((it) => it.donor !== "original");
    form.querySelector('[data-field="floor"]').hidden = !floors.some(isChosen("model"));
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

  function curves() {
    const experiments = [...form.querySelectorAll('[name="experiment"]:checked')].map((box) => box.value);
    const same = all.filter(isChosen("model", "origin", "window", "span", "score"))
      .filter((it) => experiments.includes(it.experiment));
    const method = chosen("method"), concept = chosen("concept");
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
      : `${it.concept_name ?? "mean"}, ${label("method", it.method)}`;
    let run = 0;
    return it.layer.map((layer, index) => {
      const value = it.value[index], low = it.low?.[index] ?? null, high = it.high?.[index] ?? null;
      if (value === null) run += 1; // a line is broken where there is no value, not bridged
      return {
        kind, run: `${kind} ${which} ${run}`, name: title, experiment: it.experiment,
        label: looks[it.experiment].label, layer, covers: `${it.first[index]}\u2013${it.last[index]}`,
        value, low, high, interval: low === null ? "none" : `${digits(low)} to ${digits(high)}`,
        n: it.n ? it.n[index] : 1,
      };
    }).filter((point) => point.value !== null);
  }

  function rows() {
    return Object.entries(curves()).flatMap(([kind, list]) => list.flatMap((it, which) => points(kind, it, which)));
  }

  function describe(data) {
    const words = (...fields) => fields.map((field) => label(field, chosen(field))).join(", ");
    document.getElementById("chart-title").textContent = `${chosen("model")}, ${words("method", "concept")}.`;
    const below = data.map((row) => row.value).filter((value) => value < cut);
    const setting = words("window", "span", "score");
    const notes = [`${setting[0].toUpperCase()}${setting.slice(1)}.`, `${names.place[chosen("window")]}.`];
    if (data.some((row) => row.low !== null)) notes.push("Bands: 95 % bootstrap intervals over concepts.");
    if (below.length) notes.push(`${below.length} values lie below the axis, the lowest ${digits(Math.min(...below))}.`);
    if (!data.length) notes.push("Nothing is chosen that has a value.");
    document.getElementById("chart-note").textContent = notes.join(" ");
  }

  function numbers(data) {
    const heads = new Set(), lines = new Map();
    for (const row of data.filter((one) => one.kind !== "single")) {
      const head = `${row.label}, ${row.name}`;
      const text = row.interval === "none" ? digits(row.value) : `${digits(row.value)} (${row.interval})`;
      heads.add(head);
      lines.set(row.layer, { ...lines.get(row.layer), [head]: text });
    }
    const line = (isHead, texts) => {
      const made = document.createElement("tr");
      texts.forEach((text, index) => {
        const cell = document.createElement(isHead || index === 0 ? "th" : "td");
        cell.scope = isHead ? "col" : "row";
        cell.textContent = text;
        cell.className = "number";
        made.append(cell);
      });
      return made;
    };
    const table = document.getElementById("chart-numbers");
    table.tHead.replaceChildren(line(true, ["layer", ...heads]));
    const layers = [...lines.keys()].sort((a, b) => a - b);
    table.tBodies[0].replaceChildren(...layers.map((layer) =>
      line(false, [layer, ...[...heads].map((head) => lines.get(layer)[head] ?? "\u2013")])));
  }

  fill();
  const spec = { ...read("spec"), datasets: undefined };
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: false };
  window.chart = vegaEmbed("#chart", spec, options).then(({ view }) => {
    function draw() {
      fill();
      const data = rows();
      const lowest = Math.min(-0.1, ...data.map((row) => Math.min(row.value, row.low ?? row.value)));
      const layers = all.find((it) => it.donor === "original" && isChosen("model", "origin", "window")(it)).layer;
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
