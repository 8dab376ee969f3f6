
/* Who goes where, in a model and on a text. */
(() => {
  const {
    data, byId, colour, whole, percent, times, sum, rgb, mix, css, ramp, ink, dark, curve, lines, clearLines,
    showTip, hideTip, make, visible, redrawn,
  } = page;
  const routing = data.routing;
  const layers = routing.layers;
  if (!layers.length) return;
  const selected = () => Number(byId('layer').value);
  const layer = () => layers[selected()];

  /* ---- canvases ---- */
  const prepared = (canvas) => {
    const density = Math.max(2, window.devicePixelRatio || 1);
    canvas.width = Math.round(canvas.clientWidth * density);
    canvas.height = Math.round(canvas.clientHeight * density);
    const g = canvas.getContext('2d');
    g.scale(density, density);
    g.font = '11px system-ui, "DejaVu Sans", sans-serif';
    g.textBaseline = 'middle';
    return g;
  };
  /* A line through numbers that do not touch: every first, fifth, tenth ... */
  const step = (pixels, each) => {
    const least = pixels / each;
    return [1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 256, 512].find((n) => n >= least) || 1024;
  };

  /* ---- load of all layers ---- */
  const LABELS = 34;
  const AXIS = 22;
  const most = Math.max(...layers.map((l) => l.load.length));
  const ratios = layers.map((l) => {
    const all = sum(l.load);
    return l.load.map((n) => (all ? (n * l.load.length) / all : 0));
  });
  const byLoad = ratios.map((row) => row.map((_, e) => e).sort((a, b) => row[b] - row[a]));
  const column = (l, c) => (byId('columns').value === 'load' ? byLoad[l][c] : c);
  const drawOverview = () => {
    const canvas = byId('overview');
    if (!canvas.clientWidth) return;
    const g = prepared(canvas);
    const colourOf = ramp();
    const width = (canvas.clientWidth - LABELS) / most;
    const height = (canvas.clientHeight - AXIS) / layers.length;
    const gap = (size) => (size > 6 ? 1 : 0);
    layers.forEach((l, i) => {
      l.load.forEach((_, c) => {
        g.fillStyle = css(colourOf(ratios[i][column(i, c)]));
        g.fillRect(LABELS + c * width, i * height, width - gap(width) + (gap(width) ? 0 : 0.4), height - gap(height));
      });
    });
    const every = step(14, height);
    g.textAlign = 'right';
    layers.forEach((l, i) => {
      const here = i === selected();
      if (i % every && !here) return;
      g.fillStyle = colour(here ? 'accent' : 'soft');
      g.fillText(String(l.layer), LABELS - 7, (i + 0.5) * height);
    });
    g.strokeStyle = colour('accent');
    g.lineWidth = 2;
    g.strokeRect(LABELS - 1, selected() * height - 1, layer().load.length * width + 1, height + 1);
    g.fillStyle = colour('soft');
    g.textAlign = 'center';
    const base = canvas.clientHeight - AXIS / 2;
    if (byId('columns').value === 'load') {
      g.textAlign = 'left';
      g.fillText('most loaded', LABELS, base);
      g.textAlign = 'right';
      g.fillText('least', canvas.clientWidth, base);
    } else {
      const across = step(26, width);
      for (let e = 0; e < most; e += across) g.fillText(String(e), LABELS + (e + 0.5) * width, base);
    }
  };
  const cellAt = (event) => {
    const box = byId('overview').getBoundingClientRect();
    const i = Math.floor(((event.clientY - box.top) / (box.height - AXIS)) * layers.length);
    const c = Math.floor(((event.clientX - box.left - LABELS) / (box.width - LABELS)) * most);
    return i >= 0 && i < layers.length ? { i, e: c >= 0 && c < layers[i].load.length ? column(i, c) : -1 } : undefined;
  };

  /* ---- from layer to layer ---- */
  const points = (value) => {
    const known = layers.filter((l) => Number.isFinite(value(l)));
    return { x: known.map((l) => l.layer), y: known.map(value) };
  };
  const few = layers.length <= 24;
  const drawLines = () => {
    const dot = { pointRadius: few ? 3 : 0, tension: 0 };
    const chance = { ...dot, borderDash: [5, 4], borderWidth: 1.5, pointRadius: 0 };
    const options = { x: 'layer', from: layers[0].layer, to: layers.at(-1).layer, ticks: { precision: 0 } };
    const accent = colour('accent');
    const second = colour('second');
    const soft = colour('soft');
    lines('balance', [curve('max/mean', points((l) => l.max_over_mean), accent, dot)], { ...options, min: 1 });
    lines('special', [
      curve('domain and expert', points((l) => l.specialisation), accent, dot),
      curve('by chance', points((l) => l.specialisation_chance), soft, chance),
    ], { ...options, min: 0 });
    const sure = (field) => points((l) => (l.confidence ? l.confidence[field] ?? NaN : NaN));
    lines('sure', [
      curve('most likely expert', sure('top_probability'), accent, dot),
      curve('all chosen ones', sure('chosen_mass'), second, dot),
    ], { ...options, min: 0 });
    const repeat = (field) => points((l) => (l.repetition ? l.repetition[field] ?? NaN : NaN));
    lines('repeat', [
      curve('neighbours', repeat('first'), accent, dot),
      curve('by chance', repeat('first_chance'), soft, chance),
    ], { ...options, min: 0 });
    lines('repeat-either', [
      curve('neighbours', repeat('either'), accent, dot),
      curve('by chance', repeat('either_chance'), soft, chance),
    ], { ...options, min: 0 });
    const alike = (field) => points((l) => (l[field] ? l[field].mean ?? NaN : NaN));
    lines('alike', [
      curve('rows of the router', alike('router_similarity'), accent, dot),
      curve('weights of the experts', alike('expert_similarity'), second, dot),
    ], options);
  };

  /* ---- confidence of one layer ---- */
  const bars = (id, counts, title) => {
    const all = sum(counts);
    const bins = counts.length;
    lines(id, [{
      type: 'bar', label: 'tokens', backgroundColor: colour('accent'), barPercentage: 1, categoryPercentage: 0.94,
      data: counts.map((n, i) => ({ x: (i + 0.5) / bins, y: all ? n / all : 0 })),
    }], {
      x: title, from: 0, to: 1, min: 0,
      heading: (x) => `${(x - 0.5 / bins).toFixed(2)} to ${(x + 0.5 / bins).toFixed(2)}`,
    });
  };
  const drawConfidence = () => {
    const c = layer().confidence;
    byId('confidence').hidden = !c;
    if (!c) return;
    byId('chart-top').closest('figure').hidden = !c.top_probabilities.length;
    byId('chart-share').closest('figure').hidden = layer().choices < 2;
    if (c.top_probabilities.length) bars('top', c.top_probabilities, 'probability of the most likely expert');
    if (layer().choices > 1) bars('share', c.first_shares, 'its part of the token’s weights');
  };

  /* ---- repetition by domain ---- */
  const share = (value) => (value === null ? '–' : percent(value));
  const drawRepetition = () => {
    const r = layer().repetition;
    byId('repetition').hidden = !r;
    if (!r) return;
    const two = layer().choices > 1;
    const many = layer().choices > 2;
    const head = make('tr');
    ['Domain', 'Pairs', 'Same first', 'by chance', 'ratio',
      ...(two ? ['First or second', 'by chance', 'ratio'] : []),
      ...(many ? ['Experts in common', 'by chance', 'ratio'] : [])]
      .forEach((title) => head.append(make('th', title, { scope: 'col' })));
    const row = (name, x) => {
      const tr = make('tr');
      tr.append(make('th', name, { scope: 'row' }), make('td', whole(x.pairs)));
      const compare = (field) => {
        const value = x[field];
        const chance = x[field + '_chance'];
        const ratio = make('td', value === null || !chance ? '–' : (value / chance).toFixed(2));
        if (value !== null && chance) {
          const fill = ramp()((value / chance) ** 2);
          ratio.style.backgroundColor = css(fill);
          ratio.style.color = ink(fill);
        }
        tr.append(make('td', share(value)), make('td', share(chance), { class: 'ratio' }), ratio);
      };
      compare('first');
      if (two) compare('either');
      if (many) compare('overlap');
      return tr;
    };
    const body = make('tbody');
    if (r.domains.length > 1) r.domains.forEach((x, d) => body.append(row(routing.domains[d], x)));
    body.append(row(r.domains.length > 1 ? 'all text' : routing.domains[0], r));
    const thead = make('thead');
    thead.append(head);
    byId('repetition-table').replaceChildren(thead, body);
  };

  /* ---- pairs of experts ---- */
  const EDGE = 24;
  const at = (a, b) => (Math.max(a, b) * (Math.max(a, b) - 1)) / 2 + Math.min(a, b);
  const square = (canvas, n, colourOf) => {
    canvas.closest('figure').hidden = !colourOf;
    if (!colourOf || !canvas.clientWidth) return;
    const g = prepared(canvas);
    const cell = (canvas.clientWidth - EDGE) / n;
    const gap = cell > 8 ? 1 : 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        g.fillStyle = i === j ? colour('track') : css(colourOf(at(i, j)));
        g.fillRect(EDGE + j * cell, i * cell, cell - gap + (gap ? 0 : 0.3), cell - gap + (gap ? 0 : 0.3));
      }
    }
    g.fillStyle = colour('soft');
    const every = step(22, cell);
    for (let e = 0; e < n; e += every) {
      g.textAlign = 'right';
      g.fillText(String(e), EDGE - 5, Math.max(6, (e + 0.5) * cell));
      g.textAlign = 'center';
      g.fillText(String(e), EDGE + (e + 0.5) * cell, n * cell + 10);
    }
  };
  const chanceRatio = (c, i) => (c.expected[i] ? c.counts[i] / c.expected[i] : 1);
  const range = (values) => Math.max(...values.filter((v) => v !== null).map(Math.abs), 1e-6);
  const cosines = (id, label, similarity) => {
    const values = similarity && similarity.cosines;
    const shown = values && values.length;
    const end = shown ? range(values) : 1;
    const [less, even, more] = ['less', 'even', 'more'].map((n) => rgb(colour(n)));
    square(byId(id), layer().experts, shown && ((i) => {
      const t = (values[i] ?? 0) / end;
      return mix(even, t < 0 ? less : more, Math.abs(t));
    }));
    byId(label).textContent = shown ? `±${end.toPrecision(2)}, mean ${similarity.mean.toPrecision(2)}` : '';
  };
  const drawPairs = () => {
    const l = layer();
    const c = l.coactivation;
    const colourOf = ramp();
    square(byId('together'), l.experts, c && c.counts && ((i) => colourOf(chanceRatio(c, i))));
    cosines('router-cosines', 'router-range', l.router_similarity);
    cosines('expert-cosines', 'expert-range', l.expert_similarity);
    const pairs = c ? c.strongest.filter((p) => p.ratio > 1).slice(0, 6) : [];
    byId('strongest').textContent = pairs.length
      ? 'Furthest above chance: ' + pairs.map((p) => `${p.a} with ${p.b} ${times(p.ratio)}`).join(', ') + '.' : '';
    byId('pairs').hidden = ['together', 'router-cosines', 'expert-cosines'].every((id) => byId(id).closest('figure').hidden);
  };
  const pairTip = (id, text) => {
    const canvas = byId(id);
    canvas.addEventListener('pointermove', (event) => {
      const box = canvas.getBoundingClientRect();
      const cell = (box.width - EDGE) / layer().experts;
      const j = Math.floor((event.clientX - box.left - EDGE) / cell);
      const i = Math.floor((event.clientY - box.top) / cell);
      const inside = i !== j && i >= 0 && j >= 0 && i < layer().experts && j < layer().experts;
      return inside ? showTip(event, `experts ${i} and ${j}\n${text(at(i, j))}`) : hideTip();
    });
    canvas.addEventListener('pointerleave', hideTip);
  };
  pairTip('together', (i) => {
    const c = layer().coactivation;
    return `${whole(c.counts[i])} tokens, ${whole(c.expected[i])} by chance: ${times(chanceRatio(c, i))}`;
  });
  pairTip('router-cosines', (i) => 'cosine ' + (layer().router_similarity.cosines[i] ?? '–'));
  pairTip('expert-cosines', (i) => 'cosine ' + (layer().expert_similarity.cosines[i] ?? '–'));

  /* ---- text by expert ---- */
  let kept;
  /* Neighbouring numbers get hues far apart; with more experts than hues, lightness helps. */
  const expertColour = (e, n) => {
    const hue = n <= 12 ? (360 * e) / n : (e * 137.508) % 360;
    const level = n <= 12 ? 0 : (e % 3) * 0.045;
    return dark() ? `oklch(${0.42 + level} 0.1 ${hue})` : `oklch(${0.88 - level} 0.09 ${hue})`;
  };
  const mark = (expert) => {
    [...byId('coloured').children, ...byId('chips').children].forEach((node) =>
      node.classList.toggle('other', expert !== undefined && node.dataset.expert !== String(expert)));
  };
  const drawText = () => {
    const box = byId('coloured');
    if (!box) return;
    const sample = routing.samples[Number(byId('sample').value)];
    const l = layer();
    const choices = sample.layers.find((x) => x.layer === l.layer);
    byId('text').hidden = !choices;
    if (!choices) return;
    byId('rank').closest('label').hidden = l.choices < 2;
    const rank = l.choices < 2 ? 'first' : byId('rank').value;
    const shown = choices[rank];
    const counts = new Map();
    shown.forEach((e) => counts.set(e, (counts.get(e) || 0) + 1));
    box.replaceChildren(...sample.tokens.map((token, i) => {
      const node = make('span', token.replace(/\n/g, '⏎\n'), { 'data-expert': shown[i] });
      if (shown[i] >= 0) node.style.backgroundColor = expertColour(shown[i], l.experts);
      const then = choices.second[i] >= 0 ? `, then expert ${choices.second[i]}` : '';
      node.tip = `${visible(token)}\nexpert ${choices.first[i]}, weight ${choices.weights[i].toFixed(2)}${then}`;
      return node;
    }));
    const frequent = [...counts].filter(([e]) => e >= 0).sort((a, b) => b[1] - a[1]);
    byId('chips').replaceChildren(...frequent.slice(0, 16).map(([e, n]) => {
      const chip = make('button', `${e} · ${percent(n / shown.length)}`, { 'data-expert': e, type: 'button' });
      chip.style.backgroundColor = expertColour(e, l.experts);
      return chip;
    }), ...(frequent.length > 16 ? [make('span', `and ${frequent.length - 16} more`)] : []));
    mark(kept);
  };
  if (byId('coloured')) {
    routing.samples.forEach((s, i) => byId('sample').append(make('option', s.domain, { value: i })));
    ['sample', 'rank'].forEach((id) => byId(id).addEventListener('change', drawText));
    ['coloured', 'chips'].forEach((id) => {
      byId(id).addEventListener('pointermove', (event) => {
        const expert = event.target.dataset.expert;
        mark(expert ?? kept);
        if (event.target.tip) showTip(event, event.target.tip);
        else hideTip();
      });
      byId(id).addEventListener('pointerleave', () => { mark(kept); hideTip(); });
      byId(id).addEventListener('click', (event) => {
        const expert = event.target.dataset.expert;
        kept = expert === kept ? undefined : expert;
        mark(kept);
      });
    });
  }

  /* ---- one layer ---- */
  const drawLayer = () => {
    const l = layer();
    const words = [`${l.experts} experts`, `max/mean ${l.max_over_mean.toFixed(2)}`];
    if (l.unused) words.push(`${l.unused} unused`);
    if (l.specialisation !== null) words.push(`${l.specialisation.toFixed(3)} bits, by chance ${l.specialisation_chance.toFixed(3)}`);
    if (l.note) words.push(l.note);
    byId('layer-summary').textContent = words.join(' · ');
    domains.draw();
    drawRepetition();
    drawPairs();
    drawText();
  };
  const drawCharts = () => {
    clearLines();
    drawLines();
    drawConfidence();
  };
  const changed = () => {
    kept = undefined;
    drawOverview();
    drawCharts();
    drawLayer();
  };
  const choose = (i) => {
    byId('layer').value = Math.max(0, Math.min(layers.length - 1, i));
    byId('layer').dispatchEvent(new Event('change'));
  };
  byId('layer').addEventListener('change', changed);
  byId('before').addEventListener('click', () => choose(selected() - 1));
  byId('after').addEventListener('click', () => choose(selected() + 1));
  byId('columns').addEventListener('change', drawOverview);
  const overview = byId('overview');
  overview.addEventListener('click', (event) => { const cell = cellAt(event); if (cell) choose(cell.i); });
  overview.addEventListener('pointermove', (event) => {
    const cell = cellAt(event);
    if (!cell || cell.e < 0) return hideTip();
    const l = layers[cell.i];
    return showTip(event, `${l.name}, expert ${cell.e}\n${percent(l.load[cell.e] / (sum(l.load) || 1))} of the choices, `
      + `${times(ratios[cell.i][cell.e])} an even share`);
  });
  overview.addEventListener('pointerleave', hideTip);
  const squares = ['together', 'router-cosines', 'expert-cosines'].map(byId);
  redrawn(changed, [overview, ...squares], (canvas) => (canvas === overview ? drawOverview() : drawPairs()));
})();
