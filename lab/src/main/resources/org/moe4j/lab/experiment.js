
(() => {
  const { data, colour, curve, lines, clearLines, redrawn } = page;
  /* The system has the first colour, the baseline the second, further arms what is left. */
  const armColour = (i) => [colour('accent'), colour('second'), colour('last-layer'), colour('soft')][i % 4];
  const clear = (c, alpha) => {
    const [r, g, b] = page.rgb(c);
    return `rgba(${r}, ${g}, ${b}, ${alpha})`;
  };
  const bands = (name) => data.arms.flatMap((arm, i) => {
    const runs = arm.curves[name];
    if (!runs || !runs.length) return [];
    const x = runs[0].steps;
    const at = (j) => runs.map((run) => run.values[j]);
    const of = (f) => ({ x, y: x.map((_, j) => f(at(j))) });
    const c = armColour(i);
    const mean = curve(arm.name, of((v) => page.sum(v) / v.length), c, { borderDash: i > 1 ? [6, 3] : [] });
    if (runs.length < 2) return [mean];
    const edge = { borderWidth: 0, pointHitRadius: 0, backgroundColor: clear(c, 0.18), edge: true };
    return [mean,
      curve(arm.name + ' lowest', of((v) => Math.min(...v)), c, { ...edge, fill: false }),
      curve(arm.name + ' highest', of((v) => Math.max(...v)), c, { ...edge, fill: '-1' })];
  });
  const draw = () => {
    clearLines();
    lines('loss', bands('loss'));
    lines('imbalance', bands('imbalance'), { min: 1 });
    lines('dropped', bands('dropped'), { min: 0 });
    domains.draw();
  };
  redrawn(draw, [], () => {});
})();
