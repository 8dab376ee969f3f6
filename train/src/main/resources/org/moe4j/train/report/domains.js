
/* Which domains and tokens go to which expert, of the layer selected; drawn in both pages. */
const domains = (() => {
  const { data, byId, whole, count, percent, times, sum, css, ramp, ink, visible, showTip, hideTip, make } = page;
  const routing = data.routing;
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
          class: 'item',
          title: `${count(t.count)} times, ${percent(t.share)} of all choices for this token`
            + (t.pmi === undefined ? '' : `; ${t.pmi.toFixed(2)} bits`),
        });
        item.append(make('code', visible(t.token)));
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
  const draw = () => {
    if (!routing || !routing.layers.length) return;
    drawDomains();
    drawExperts();
  };
  if (routing && byId('layer')) {
    const best = routing.layers.reduce((b, layer, i) => (layer.specialisation > routing.layers[b].specialisation ? i : b), 0);
    routing.layers.forEach((layer, i) =>
      byId('layer').append(make('option', layer.name + (i === best ? ' (most specialised)' : ''), { value: i })));
    byId('layer').value = best;
    ['layer', 'reference', 'order'].filter(byId).forEach((id) => byId(id).addEventListener('change', draw));
    const map = byId('domains-map');
    map.addEventListener('pointermove', (event) => (event.target.tip ? showTip(event, event.target.tip) : hideTip()));
    map.addEventListener('pointerleave', hideTip);
  }
  return { draw, selected };
})();
