'use strict';
/* What all pages share: numbers, colours, line charts, the tooltip. */
const page = (() => {
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
  const dark = () => !('print' in root.dataset) && matchMedia('(prefers-color-scheme: dark)').matches;
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
  /* From the lowest to the highest seed, of points and bars. */
  const whiskers = {
    id: 'whiskers',
    afterDatasetsDraw: (chart) => {
      const g = chart.ctx;
      chart.data.datasets.forEach((set, i) => (set.whiskers || []).forEach((point, j) => {
        const at = chart.getDatasetMeta(i).data[j].x;
        g.strokeStyle = colour('text');
        g.lineWidth = 1.5;
        g.beginPath();
        g.moveTo(at, chart.scales.y.getPixelForValue(point.lowest));
        g.lineTo(at, chart.scales.y.getPixelForValue(point.highest));
        g.stroke();
      }));
    },
  };
  const lines = (id, datasets, options = {}) => {
    const canvas = byId('chart-' + id);
    if (!canvas || !datasets.length) return;
    const axis = (more) => ({
      grid: { color: colour('grid'), offset: false }, border: { color: colour('line') },
      ticks: { color: colour('soft'), maxRotation: 0, autoSkipPadding: 16 }, ...more,
    });
    const title = (text) => ({ display: true, text, color: colour('soft') });
    const y = axis({
      type: options.logY ? 'logarithmic' : 'linear', suggestedMin: options.min, suggestedMax: options.max,
      ...(options.y ? { title: title(options.y) } : {}),
    });
    y.ticks.callback = (value) => short(value);
    const x = axis({
      type: options.logX ? 'logarithmic' : 'linear', suggestedMin: options.from, suggestedMax: options.to,
      bounds: options.logX ? 'data' : 'ticks', title: title(options.x || 'step'),
    });
    Object.assign(x.ticks, options.ticks);
    if (options.logX) x.ticks.callback = (value) => short(value);
    if (options.names && options.names.length) {
      Object.assign(x, { min: -0.5, max: options.names.length - 0.5, bounds: 'data' });
      Object.assign(x.ticks, { stepSize: 1, autoSkip: true, callback: (value) => options.names[value] || '' });
    }
    const heading = options.heading || ((value) => `${options.x || 'step'} ${whole(value)}`);
    charts.push(new Chart(canvas, {
      type: 'line',
      data: { datasets },
      plugins: options.named ? [names, whiskers] : [whiskers],
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false,
        devicePixelRatio: Math.max(2, window.devicePixelRatio || 1),
        interaction: { mode: 'nearest', axis: 'x', intersect: false },
        scales: {
          x,
          y,
        },
        plugins: {
          legend: {
            display: datasets.length > 1 && !options.named,
            labels: {
              filter: (item, chart) => !chart.datasets[item.datasetIndex].edge,
              sort: (a, b) => a.datasetIndex - b.datasetIndex, color: colour('text'), usePointStyle: true, pointStyle: 'line', boxWidth: 24 },
          },
          tooltip: {
            filter: (item) => !item.dataset.edge,
            callbacks: {
              title: (items) => (items.length ? heading(items[0].parsed.x) : ''),
              label: (item) => `${item.dataset.label}: ${Number(item.parsed.y.toPrecision(5))}`,
            },
          },
        },
      },
    }));
  };
  const clearLines = () => {
    charts.forEach((chart) => chart.destroy());
    charts = [];
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

  /* ---- nodes ---- */
  /* Spaces begin most words; a visible mark tells them from pieces inside a word. */
  const MARKS = { ' ': '␣', '\n': '⏎', '\t': '⇥', '\r': '␍' };
  const visible = (token) =>
    token.replace(/[\p{Z}\p{C}]/gu, (c) => MARKS[c] || `‹${c.codePointAt(0).toString(16)}›`) || '∅';
  const make = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    return node;
  };

  /* ---- drawing, again when the colours, the width or the medium change ---- */
  const redrawn = (draw, canvases, drawOne) => {
    Chart.defaults.font.family = 'system-ui, "DejaVu Sans", sans-serif';
    draw();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
    const observer = new ResizeObserver((entries) => entries.forEach((entry) => drawOne(entry.target)));
    canvases.forEach((canvas) => observer.observe(canvas));
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
  };

  return {
    data, byId, colour, whole, count, percent, times, sum, short, rgb, mix, css, ramp, ink, dark, layerColour,
    curve, lines, clearLines, showTip, hideTip, make, visible, redrawn,
  };
})();
