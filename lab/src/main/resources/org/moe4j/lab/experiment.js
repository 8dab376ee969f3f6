
(() => {
  const { data, colour, curve, lines, clearLines, redrawn, rgb, sum } = page;
  /* The system has the first colour, the baseline the second, further arms what is left. */
  const COLOURS = ['accent', 'second', 'third', 'last-layer', 'fourth', 'soft'];
  const armColour = (i) => colour(COLOURS[i % COLOURS.length]);
  const look = (i) => ({ borderWidth: i > 1 ? 1.5 : 2.5, borderDash: i >= COLOURS.length ? [6, 3] : [] });
  const clear = (c, alpha) => `rgba(${rgb(c).join(', ')}, ${alpha})`;
  const band = (name, x, lowest, highest, c) => {
    const edge = { borderWidth: 0, pointHitRadius: 0, backgroundColor: clear(c, 0.16), edge: true };
    return [
      curve(name + ', lowest', { x, y: lowest }, c, { ...edge, fill: false }),
      curve(name + ', highest', { x, y: highest }, c, { ...edge, fill: '-1' }),
    ];
  };
  /* Arms less the baseline, seed by seed: what the charts of the arms themselves are too coarse for. */
  const difference = () => {
    const base = data.arms.find((arm) => arm.name === data.baseline).curves.loss || [];
    return data.arms.flatMap((arm, i) => {
      const runs = arm.curves.loss || [];
      const x = runs.length ? runs[0].steps : [];
      const paired = runs.length === base.length && runs.every((run, s) =>
        run.steps.length === base[s].steps.length && run.steps.every((step, j) => step === base[s].steps[j]));
      if (!paired || !x.length || arm.name === data.baseline) return [];
      const over = (f) => x.map((_, j) => f(runs.map((run, s) => run.values[j] - base[s].values[j])));
      const mean = curve(arm.name, { x, y: over((v) => sum(v) / v.length) }, armColour(i), look(i));
      return [mean, ...(runs.length < 2 ? []
        : band(arm.name, x, over((v) => Math.min(...v)), over((v) => Math.max(...v)), armColour(i)))];
    });
  };
  const loads = () => {
    const layers = data.routing ? data.routing.layers : [];
    return data.arms.flatMap((arm, i) => {
      const sorted = layers.filter((layer) => layer.arm === arm.name).map((layer) => {
        const all = sum(layer.load) || 1;
        return layer.load.map((n) => (n * layer.load.length) / all).sort((a, b) => b - a);
      });
      if (!sorted.length) return [];
      const y = sorted[0].map((_, e) => sum(sorted.map((load) => load[e])) / sorted.length);
      return [curve(arm.name, { x: y.map((_, e) => e + 1), y }, armColour(i), { ...look(i), pointRadius: 2.5 })];
    });
  };
  const training = (name) => data.arms.flatMap((arm, i) => {
    const runs = arm.curves[name];
    if (!runs || !runs.length) return [];
    const x = runs[0].steps;
    const over = (f) => x.map((_, j) => f(runs.map((run) => run.values[j])));
    const mean = curve(arm.name, { x, y: over((v) => sum(v) / v.length) }, armColour(i), look(i));
    return runs.length < 2 ? [mean]
      : [mean, ...band(arm.name, x, over((v) => Math.min(...v)), over((v) => Math.max(...v)), armColour(i))];
  });
  /* A series that is an arm has its colour; a line through points has theirs. */
  const place = (figure, i) => {
    const series = figure.series[i];
    const arm = data.arms.findIndex((a) => a.name === series.name);
    const seen = figure.series.slice(0, i + 1).filter((s) => s.style !== 'FIT');
    return arm < 0 ? Math.max(0, seen.length - 1) : arm;
  };
  const drawn = (figure) => figure.series.flatMap((series, i) => {
    const at = place(figure, i);
    const c = armColour(at);
    const x = series.points.map((p) => p.x);
    const y = (part) => series.points.map((p) => p[part]);
    const all = (more) => curve(series.name, { x, y: y('y') }, c, more);
    const whiskers = series.points.some((p) => p.lowest < p.highest) ? series.points : undefined;
    switch (series.style) {
      case 'FIT': return [all({ ...look(at), borderDash: [6, 3], pointHitRadius: 0 })];
      case 'POINTS': return [all({ showLine: false, pointRadius: 4, whiskers })];
      case 'BARS': return [all({ type: 'bar', backgroundColor: clear(c, 0.75), borderWidth: 0, whiskers })];
      default: return [all({ ...look(at), pointRadius: 3.5 }),
        ...(whiskers ? band(series.name, x, y('lowest'), y('highest'), c) : [])];
    }
  });
  const draw = () => {
    clearLines();
    data.curves.forEach((name, i) =>
      lines('curve-' + i, training(name), { imbalance: { min: 1 }, dropped: { min: 0 } }[name]));
    const zero = { borderColor: colour('soft'), borderDash: [2, 3], borderWidth: 1, pointHitRadius: 0 };
    const apart = difference();
    if (apart.some((line) => line.data.some((p) => p.y !== 0))) {
      const x = [apart[0].data[0].x, apart[0].data.at(-1).x];
      apart.push(curve(data.baseline, { x, y: [0, 0] }, colour('soft'), zero));
    } else if (page.byId('chart-difference')) {
      page.byId('chart-difference').closest('figure').hidden = true;
    }
    lines('difference', apart);
    lines('load', loads(), { min: 0, x: 'expert by load', heading: (x) => `rank ${x}` });
    data.figures.forEach((figure, i) => lines('figure-' + i, drawn(figure), {
      x: figure.x.label,
      y: figure.y.label,
      logX: figure.x.logarithmic,
      logY: figure.y.logarithmic,
      names: figure.x.names,
      heading: (x) => `${figure.x.label} ${figure.x.names[x] || Number(x.toPrecision(4))}`,
    }));
    domains.draw();
  };
  redrawn(draw, [], () => {});
})();
