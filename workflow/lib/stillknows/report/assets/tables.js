"use strict";
// Tables that sort and filter. Rows come as columns: the cells' texts, and which of them each row has.
(() => {
  const STEP = 25;
  const EMPTY = ["", "\u2013"];
  const withHyphens = (text) => text.replaceAll("\u2212", "-");
  const searchable = (text) => withHyphens(text.toLowerCase());

  function rowsOf(columns) {
    return columns[0].codes.map((_, row) => {
      const cells = columns.map((column) => column.texts[column.codes[row]]);
      return { cells, text: searchable(cells.join("\n")) };
    });
  }

  // Cells without a value go last, whichever way it is sorted.
  function inOrder(index, isNumber, direction) {
    return (left, right) => {
      const a = left.cells[index], b = right.cells[index];
      const aEmpty = EMPTY.includes(a), bEmpty = EMPTY.includes(b);
      if (aEmpty || bEmpty) return aEmpty - bEmpty;
      const order = isNumber ? withHyphens(a) - withHyphens(b) : a.localeCompare(b, "en", { numeric: true });
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
      const words = searchable(input ? input.value : "").split(/\s+/).filter(Boolean);
      const matching = sorted.filter((row) => words.every((word) => row.text.includes(word)));
      const visible = matching.slice(0, most);
      body.replaceChildren(...visible.map((row) => {
        const line = document.createElement("tr");
        row.cells.forEach((text, index) => {
          const cell = line.insertCell();
          cell.textContent = text;
          cell.className = columns[index].kind;
        });
        return line;
      }));
      if (!input) return;
      const filtered = words.length ? ` that match, of ${all.length}` : "";
      output.textContent = `${visible.length} of ${matching.length} ${matching.length === 1 ? "row" : "rows"}${filtered}`;
      more.hidden = visible.length === matching.length;
    }

    if (input) input.addEventListener("input", draw);
    if (more) more.addEventListener("click", () => { most = Infinity; draw(); });
    heads.forEach((head, index) => head.firstElementChild.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      sorted = [...all].sort(inOrder(index, columns[index].kind === "number", direction));
      draw();
    }));
    draw();
  }

  document.querySelectorAll("section.table").forEach(setUp);
})();
