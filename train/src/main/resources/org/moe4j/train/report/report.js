'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(root).getPropertyValue('--' + name).trim();

  /* ---- numbers ---- */
  const whole = (n) => Math.round(n).toLocaleString('en-US');
  const count = (n) => (Number.isInteger(n) ? whole(n) : n.toLocaleString('en-US', { maximumFractionDigits: 1 }));
  const percent = (share) => (100 * share).toFixed(1) + '%';
  const times = (ratio) => (ratio >= 9.95 ? ratio.toFixed(0) : ratio.toFixed(1)) + '×';
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const short = (n) => {
    if (n === 0) return '0';
    const size = Math.abs(n);
    return size < 1e-4 || size >= 1e6 ? n.toExponential(1) : n.toLocaleString('en-US', { maximumSignificantDigits: 3 });
  };

  /* ---- colours ---- */
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));
  const css = (c) => `rgb(${c.join(' ')})`;
  const ramp = () => {
    const [less, even, more] = ['less', 'even', 'more'].map((n) => rgb(colour(n)));
    // A factor of four either way is the end of the scale.
    return (ratio) => {
      const t = ratio > 0 ? Math.max(-1, Math.min(1, Math.log2(ratio) / 2)) : -1;
      return mix(even, t < 0 ? less : more, Math.abs(t));
    };
  };
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ink = (c) => (luminance(c) > 0.179 ? '#000' : '#fff');
  /* Layers have an order, so their lines run from one colour to another. */
  const layerColour = (i, n) => css(mix(rgb(colour('first-layer')), rgb(colour('last-layer')), n < 2 ? 0 : i / (n - 1)));

  /* ---- line charts ---- */
  let charts = [];
  const points = (p) => p.x.map((x, i) => ({ x, y: p.y[i] }));
  const curve = (label, p, color, more) => ({
    label, data: points(p), borderColor: color, backgroundColor: color,
    borderWidth: 2, pointRadius: 0, pointHitRadius: 6, ...more,
  });
  /* Names each line at its end, where a legend would not tell two dashes apart: the first, which may
     fall towards its end, below it, the level ones above. */
  const names = {
    id: 'names',
    afterDatasetsDraw: (chart) => {
      const g = chart.ctx;
      g.save();
      g.font = '12px system-ui, "DejaVu Sans", sans-serif';
      g.textAlign = 'right';
      chart.data.datasets.forEach((set, i) => {
        const last = set.data.findLastIndex((point) => Number.isFinite(point.y));
        if (last < 0) return;
        const text = `${set.label} ${set.data[last].y.toFixed(3)}`;
        g.fillStyle = set.borderColor;
        g.fillText(text, chart.chartArea.right - 4, chart.getDatasetMeta(i).data[last].y + (i ? -8 : 20));
      });
      g.restore();
    },
  };
  const lines = (id, datasets, options = {}) => {
    const canvas = byId('chart-' + id);
    if (!canvas || !datasets.length) return;
    const axis = (more) => ({
      grid: { color: colour('grid') }, border: { color: colour('line') },
      ticks: { color: colour('soft'), maxRotation: 0, autoSkipPadding: 16 }, ...more,
    });
    const y = axis({ suggestedMin: options.min, suggestedMax: options.max });
    y.ticks.callback = (value) => short(value);
    charts.push(new Chart(canvas, {
      type: 'line',
      data: { datasets },
      plugins: options.named ? [names] : [],
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false,
        devicePixelRatio: Math.max(2, window.devicePixelRatio || 1),
        interaction: { mode: 'nearest', axis: 'x', intersect: false },
        scales: {
          x: axis({ type: 'linear', suggestedMin: options.from, suggestedMax: options.to, bounds: 'ticks', title: { display: true, text: 'step', color: colour('soft') } }),
          y,
        },
        plugins: {
          legend: {
            display: datasets.length > 1 && !options.named,
            labels: {
              sort: (a, b) => a.datasetIndex - b.datasetIndex, color: colour('text'), usePointStyle: true, pointStyle: 'line', boxWidth: 24 },
          },
          tooltip: {
            callbacks: {
              title: (items) => (items.length ? 'step ' + whole(items[0].parsed.x) : ''),
              label: (item) => `${item.dataset.label}: ${Number(item.parsed.y.toPrecision(5))}`,
            },
          },
        },
      },
    }));
  };
  const drawLines = () => {
    charts.forEach((chart) => chart.destroy());
    charts = [];
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

  /* ---- tooltip of our own maps ---- */
  const tip = byId('tip');
  const showTip = (event, text) => {
    tip.textContent = text;
    tip.hidden = false;
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 16;
    const fits = below + tip.offsetHeight < window.innerHeight;
    tip.style.left = Math.max(4, left) + 'px';
    tip.style.top = (fits ? below : event.clientY - tip.offsetHeight - 10) + 'px';
  };
  const hideTip = () => { tip.hidden = true; };

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

  /* ---- domains by experts ---- */
  const routing = data.routing;
  const make = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    return node;
  };
  const selected = () => {
    const layer = routing.layers[Number(byId('layer') ? byId('layer').value : 0)];
    const all = sum(layer.load) || 1;
    const uniform = layer.load.map(() => 1 / layer.load.length);
    const overall = layer.load.map((load) => load / all);
    return { layer, uniform, overall };
  };
  const domainOrder = (layer) => {
    const order = byId('order').value;
    if (order === 'similar') return layer.order;
    const all = routing.domains.map((_, d) => d);
    return order === 'size' ? all.sort((a, b) => routing.domain_tokens[b] - routing.domain_tokens[a]) : all;
  };
  const drawDomains = () => {
    const table = byId('domains-map');
    if (!table) return;
    const { layer, uniform, overall } = selected();
    const byLoad = byId('reference').value === 'load';
    const reference = byLoad ? overall : uniform;
    const experts = layer.load.length;
    const colourOf = ramp();
    table.className = experts > 24 ? 'dense' : '';
    const cell = experts > 24 ? 12 : 34;
    const columns = make('colgroup');
    [150, 58, ...layer.load.map(() => cell)].forEach((width, i) =>
      columns.append(make('col', undefined, i < 2 ? { style: `width:${width}px` } : {})));
    table.style.minWidth = 208 + experts * cell + 'px';
    const head = make('tr');
    head.append(make('th', 'domain', { scope: 'col' }), make('th', 'tokens', { scope: 'col' }));
    layer.load.forEach((_, e) => head.append(
      make('th', experts > 24 && e % 8 ? '' : String(e), { scope: 'col', 'aria-label': 'expert ' + e })));
    const body = make('tbody');
    domainOrder(layer).forEach((d) => {
      const counts = layer.counts[d];
      const total = sum(counts);
      const row = make('tr');
      row.append(make('th', routing.domains[d], { scope: 'row', title: routing.domains[d] }));
      row.append(make('td', whole(routing.domain_tokens[d]), { class: 'size' }));
      counts.forEach((n, e) => {
        const ratio = total && reference[e] ? n / total / reference[e] : 0;
        const fill = colourOf(ratio);
        const td = make('td', ratio >= 9.95 ? ratio.toFixed(0) : ratio.toFixed(1));
        td.style.backgroundColor = css(fill);
        td.style.color = ink(fill);
        td.tip = `${routing.domains[d]} → expert ${e}\n${count(n)} of ${count(total)} choices, `
          + `${percent(total ? n / total : 0)}: ${times(ratio)} ${byLoad ? 'the expert’s overall share' : 'an even share'}`;
        row.append(td);
      });
      body.append(row);
    });
    const thead = make('thead');
    thead.append(head);
    table.replaceChildren(columns, thead, body);
  };
  const drawExperts = () => {
    const table = byId('experts-table');
    if (!table) return;
    const { layer, overall } = selected();
    const body = make('tbody');
    const totals = layer.counts.map(sum);
    layer.load.forEach((load, e) => {
      const row = make('tr');
      row.append(make('th', String(e), { scope: 'row' }), make('td', percent(overall[e])));
      const domains = make('td');
      routing.domains
        .map((name, d) => ({ name, n: layer.counts[d][e], ratio: totals[d] && overall[e] ? layer.counts[d][e] / totals[d] / overall[e] : 0 }))
        .filter((x) => x.n >= 10 && x.ratio > 1.05)
        .sort((a, b) => b.ratio - a.ratio).slice(0, 3)
        .forEach((x) => {
          const item = make('span', x.name + ' ', { class: 'item' });
          item.append(make('span', times(x.ratio), { class: 'ratio' }));
          domains.append(item);
        });
      const tokens = make('td');
      (layer.typical[e] || []).forEach((t) => {
        const item = make('span', undefined, {
          class: 'item', title: `${count(t.count)} times, ${percent(t.share)} of all choices for this token`,
        });
        // Spaces begin most words; a visible mark tells them from pieces inside a word.
        item.append(make('code', t.token.replace(/ /g, '␣').replace(/\n/g, '⏎')));
        tokens.append(item);
      });
      row.append(domains, tokens);
      body.append(row);
    });
    const head = make('tr');
    ['Expert', 'Share', 'Domains, relative to its overall share', 'Typical tokens'].forEach((title) =>
      head.append(make('th', title, { scope: 'col' })));
    const thead = make('thead');
    thead.append(head);
    table.replaceChildren(thead, body);
  };
  const drawRouting = () => {
    if (!routing || !routing.layers.length) return;
    drawDomains();
    drawExperts();
  };
  if (routing && byId('layer')) {
    const best = routing.layers.reduce((b, layer, i) => (layer.specialisation > routing.layers[b].specialisation ? i : b), 0);
    routing.layers.forEach((layer, i) =>
      byId('layer').append(make('option', layer.name + (i === best ? ' (most specialised)' : ''), { value: i })));
    byId('layer').value = best;
    ['layer', 'reference', 'order'].forEach((id) => byId(id).addEventListener('change', drawRouting));
    const map = byId('domains-map');
    map.addEventListener('pointermove', (event) => (event.target.tip ? showTip(event, event.target.tip) : hideTip()));
    map.addEventListener('pointerleave', hideTip);
  }

  /* ---- drawing, again when the colours or the width change ---- */
  const draw = () => {
    drawLines();
    loadMaps.forEach(drawLoad);
    drawRouting();
  };
  Chart.defaults.font.family = 'system-ui, "DejaVu Sans", sans-serif';
  draw();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => drawLoad(entry.target)));
  loadMaps.forEach((canvas) => observer.observe(canvas));
  let opened = [];
  window.addEventListener('beforeprint', () => {
    root.dataset.print = '';
    opened = [...document.querySelectorAll('details:not([open])')];
    opened.forEach((details) => { details.open = true; });
    draw();
  });
  window.addEventListener('afterprint', () => {
    delete root.dataset.print;
    opened.forEach((details) => { details.open = false; });
    draw();
  });
})();
