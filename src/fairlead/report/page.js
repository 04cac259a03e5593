const NARROW = 560;

// Plotly itself looks again only when the window changes; a card may change without it, as when a
// scroll bar appears, and while the window is being opened.
const cards = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.clientWidth && target.clientWidth !== target._fullLayout?.width) {
      Plotly.Plots.resize(target);
    }
  }
});

for (const source of document.querySelectorAll("script[data-chart]")) {
  const chart = document.getElementById(source.dataset.chart);
  const { data, layout } = JSON.parse(source.textContent);
  if (chart.clientWidth < NARROW) {
    // A legend of many lines belongs below the chart, and needs room of its own.
    const entries = data.filter((trace) => trace.name).length;
    if (entries > 1 && layout.legend.y > 0) {
      chart.style.height = `${chart.clientHeight + 20 * entries}px`;
      layout.legend = { ...layout.legend, y: -0.25, yanchor: "top" };
    }
  }
  Plotly.newPlot(chart, data, layout, {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
  cards.observe(chart);
}
