"use strict";
// What Vega leaves to be done: of choices only those that there are, and the chart's numbers as a table.
(() => {
  const spec = JSON.parse(document.getElementById("explore-spec").textContent);
  const curves = spec.datasets.curves;
  const controls = document.querySelector(".controls"), table = document.getElementById("chart-numbers");
  const columns = [...table.tHead.rows[0].cells].map((head) => head.textContent);
  const options = { mode: "vega-lite", renderer: "svg", actions: false, bind: controls };

  window.chart = vegaEmbed("#chart", spec, options).then(({ view }) => {
    // Of each choice only what the choices before it leave.
    function offer() {
      let left = curves;
      for (const select of controls.querySelectorAll("select")) {
        const names = new Set(left.map((curve) => curve[select.name]));
        for (const option of select.options) option.disabled = !names.has(option.value);
        const chosen = names.has(select.value) ? select.value : select.querySelector(":enabled").value;
        view.signal(select.name, chosen);
        left = left.filter((curve) => curve[select.name] === chosen);
      }
    }

    function describe() {
      const names = ["model", "method", "concept", "window", "span", "score"];
      const title = `${names.map((name) => view.signal(name)).join(", ")}.`;
      document.getElementById("chart-title").textContent = title;
      view.description(title);
      table.tBodies[0].replaceChildren(...view.data("points_marks").map(({ datum }) => {
        const line = document.createElement("tr");
        for (const column of columns) line.insertCell().textContent = datum[column];
        return line;
      }));
    }

    async function update() {
      await view.runAsync();
      offer();
      await view.runAsync();
      describe();
    }

    controls.addEventListener("change", update);
    document.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => {
      for (const [name, value] of Object.entries(JSON.parse(button.dataset.show))) view.signal(name, value);
      update();
      document.getElementById("explore").scrollIntoView();
      controls.querySelector("[name=concept]").focus({ preventScroll: true });
    }));
    return update().then(() => view);
  });
})();
