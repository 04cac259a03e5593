for (const source of document.querySelectorAll("script[data-chart]")) {
  const chart = document.getElementById(source.dataset.chart);
  const { data, layout } = JSON.parse(source.textContent);
  Plotly.newPlot(chart, data, layout, {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
}
