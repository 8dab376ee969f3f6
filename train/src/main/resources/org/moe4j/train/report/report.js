
(() => {
  const {
    data, colour, whole, count, times, sum, css, ramp, layerColour, curve, lines, clearLines, showTip, hideTip, redrawn,
  } = page;

  /* ---- line charts ---- */
  const drawLines = () => {
    clearLines();
    const accent = colour('accent');
    const second = colour('second');
    const marks = { borderDash: [4, 3], pointRadius: 4, pointStyle: 'rectRot', borderWidth: 1.5, order: -1 };
    lines('loss', [
      curve('training', data.loss, colour('faint'), { borderWidth: 1 }),
      curve('training, smoothed', data.loss_smooth, accent),
      ...(data.val_loss.x.length ? [curve('validation', data.val_loss, second, marks)] : []),
    ]);
    const steps = [...data.loss.x, ...data.val_bpb.x];
    const [from, to] = [Math.min(...steps), Math.max(...steps)];
    const measured = data.val_bpb.y.filter(Number.isFinite);
    const level = (y) => ({ x: [from, to], y: [y, y] });
    lines('bpb', [
      curve('this model', data.val_bpb, second, { pointRadius: 4, pointStyle: 'rectRot' }),
      ...Object.entries(data.baselines).map(([name, bpb], i) =>
        curve(name, level(bpb), colour('soft'), { borderDash: i ? [2, 3] : [8, 4], borderWidth: 1.5 })),
    ], {
      named: true,
      from,
      to,
      min: 0.9 * Math.min(...measured),
      max: 1.05 * Math.max(...measured, ...Object.values(data.baselines)),
    });
    const layers = data.load.layers;
    lines('imbalance', layers.map((layer, i) =>
      curve(layer.name, layer.imbalance, layerColour(i, layers.length), { borderWidth: 1.5 })), { min: 1 });
    lines('lr', [curve('learning rate', data.lr, accent)], { min: 0 });
    lines('grad_norm', [curve('gradient norm', data.grad_norm, accent, { borderWidth: 1.5 })], { min: 0 });
    lines('tokens_per_s', [curve('tokens/s', data.tokens_per_s, accent, { borderWidth: 1.5 })], { min: 0 });
    lines('balance', data.balance.map((term, i) =>
      curve(term.name, term.points, layerColour(i, data.balance.length), { borderWidth: 1.5 })));
  };

  /* ---- load of the experts over time ---- */
  const AXIS = 20;
  const LABELS = 26;
  const stretches = data.load.to.length;
  const totals = data.load.layers.map((layer) =>
    data.load.to.map((_, s) => sum(layer.counts.map((row) => row[s]))));
  const loadRatio = (l, e, s) => {
    const layer = data.load.layers[l];
    return totals[l][s] ? (layer.counts[e][s] * layer.counts.length) / totals[l][s] : 1;
  };
  const drawLoad = (canvas) => {
    const l = Number(canvas.dataset.layer);
    const experts = data.load.layers[l].counts.length;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !experts || !stretches) return;
    const density = Math.max(2, window.devicePixelRatio || 1);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    const g = canvas.getContext('2d');
    g.scale(density, density);
    const colourOf = ramp();
    const plot = width - LABELS;
    const row = (height - AXIS) / experts;
    for (let e = 0; e < experts; e++) {
      for (let s = 0; s < stretches; s++) {
        const x = LABELS + (plot * s) / stretches;
        g.fillStyle = css(colourOf(loadRatio(l, e, s)));
        // A little overlap hides the seams between cells.
        g.fillRect(x, e * row, plot / stretches + 0.5, row - (row > 6 ? 0.5 : 0));
      }
    }
    g.fillStyle = colour('soft');
    g.font = '11px system-ui, "DejaVu Sans", sans-serif';
    g.textBaseline = 'middle';
    g.textAlign = 'right';
    const every = Math.ceil(14 / row);
    for (let e = 0; e < experts; e += every) g.fillText(String(e), LABELS - 5, (e + 0.5) * row);
    const base = height - AXIS / 2 + 2;
    g.fillText('step ' + whole(data.load.to[stretches - 1]), width, base);
    g.textAlign = 'left';
    g.fillText(whole(data.load.from[0]), LABELS, base);
  };
  const loadMaps = [...document.querySelectorAll('canvas.load')];
  loadMaps.forEach((canvas) => {
    canvas.addEventListener('pointermove', (event) => {
      const l = Number(canvas.dataset.layer);
      const layer = data.load.layers[l];
      const box = canvas.getBoundingClientRect();
      const s = Math.floor(((event.clientX - box.left - LABELS) / (box.width - LABELS)) * stretches);
      const e = Math.floor(((event.clientY - box.top) / (box.height - AXIS)) * layer.counts.length);
      if (s < 0 || s >= stretches || e >= layer.counts.length) return hideTip();
      const [from, to] = [data.load.from[s], data.load.to[s]];
      showTip(event, `${layer.name}, expert ${e}\n${from === to ? 'step ' : 'steps ' + whole(from) + '–'}${whole(to)}: `
        + `${count(layer.counts[e][s])} of ${count(totals[l][s])} choices, ${times(loadRatio(l, e, s))} an even share`);
    });
    canvas.addEventListener('pointerleave', hideTip);
  });

  redrawn(() => {
    drawLines();
    loadMaps.forEach(drawLoad);
    domains.draw();
  }, loadMaps, drawLoad);
})();
