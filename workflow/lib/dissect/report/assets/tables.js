"use strict";
// Tables that sort and filter. Rows come as columns: text as codes into `values`, numbers as they are.
(() => {
  const STEP = 25;
  const folded = (text) => text.toLowerCase().replaceAll("\u2212", "-");

  function shown(value, decimals) {
    if (value === null) return "\u2013";
    const text = value.toFixed(decimals);
    return /[1-9]/.test(text) ? text.replace("-", "\u2212") : text.replace("-", "");
  }

  function rowsOf(columns) {
    const values = columns.map((column) =>
      column.codes ? column.codes.map((code) => column.values[code]) : column.values);
    return values[0].map((_, row) => {
      const cells = values.map((column, place) =>
        columns[place].codes ? column[row] : shown(column[row], columns[place].decimals));
      return { keys: values.map((column) => column[row]), cells, text: folded(cells.join("\n")) };
    });
  }

  // Null and empty go last, whichever way it is sorted.
  function inOrder(place, direction) {
    const empty = (value) => value === null || value === "";
    return (left, right) => {
      const a = left.keys[place], b = right.keys[place];
      if (empty(a) || empty(b)) return empty(a) - empty(b);
      const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
      return direction * order;
    };
  }

  function setUp(section) {
    const columns = JSON.parse(section.querySelector("script[type='application/json']").textContent);
    if (!columns.length) return;
    const all = rowsOf(columns);
    const input = section.querySelector("input"), output = section.querySelector("output");
    const more = section.querySelector("button.all"), body = section.querySelector("tbody");
    const heads = [...section.querySelectorAll("th")];
    let sorted = all, most = STEP;

    function draw() {
      const words = folded(input ? input.value : "").split(/\s+/).filter(Boolean);
      const found = sorted.filter((row) => words.every((word) => row.text.includes(word)));
      const visible = found.slice(0, most);
      body.replaceChildren(...visible.map((row) => {
        const line = document.createElement("tr");
        row.cells.forEach((text, place) => {
          const cell = line.insertCell();
          cell.textContent = text;
          cell.className = columns[place].kind;
        });
        return line;
      }));
      if (!input) return;
      const matching = words.length ? ` that match, of ${all.length}` : "";
      output.textContent = `${visible.length} of ${found.length} ${found.length === 1 ? "row" : "rows"}${matching}`;
      more.hidden = visible.length === found.length;
    }

    if (input) input.addEventListener("input", draw);
    if (more) more.addEventListener("click", () => { most = Infinity; draw(); });
    heads.forEach((head, place) => head.firstElementChild.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      sorted = [...all].sort(inOrder(place, direction));
      draw();
    }));
    draw();
  }

  document.querySelectorAll("section.table").forEach(setUp);

  // A link to something inside a closed part opens it.
  function open() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    if (target) target.scrollIntoView();
  }
  addEventListener("hashchange", open);
  open();
})();
