"""What transformers says about a model, and how far its decisions are from ties."""
import torch
from transformers import GenerationConfig

GREEDY = 12
EOS = 2
ROUTER = ("TopKRouter", "TopkRouter", "V1Gate", "TopKGating", "DbrxRouter", "Top1Router")
LOGITS_AT = {"GraniteMoeTopKRouter": 2, "GraniteMoeSharedTopKRouter": 2, "AriaTextTopKRouter": 2,
             "JetMoeTopKGating": 4, "SwitchTransformersTop1Router": 2}


def top_gaps(scores, k):
    """Distance of the k-th to the (k+1)-th score of every row."""
    if k >= scores.shape[-1]:
        return torch.full(scores.shape[:-1], float("inf"))
    s = scores.sort(dim=-1, descending=True).values
    return s[..., k - 1] - s[..., k]


def top_gap(scores, k):
    """The smallest of them."""
    return top_gaps(scores, k).min().item()


def grouped(scores, module, group_score, masked):
    """Gap of a group-limited selection: of the groups, then of the experts left."""
    groups = module.num_group or 1
    g = group_score(scores.view(-1, groups, scores.shape[-1] // groups))
    keep = g.topk(module.topk_group or 1, dim=-1).indices
    mask = torch.zeros_like(g).scatter(1, keep, 1).bool().repeat_interleave(
        scores.shape[-1] // groups, dim=1)
    return torch.minimum(top_gaps(g, module.topk_group or 1),
                         top_gaps(scores.masked_fill(~mask, masked), module.top_k))


def sparsemixer_gaps(z, module):
    """Gap of the two choices, and of every expert to the threshold of sparsemixer."""
    limit = 2 * module.router_jitter_noise
    gap = torch.minimum(top_gaps(z, 1), top_gaps(z, 2))
    rest = z
    for _ in range(2):
        top, at = rest.max(dim=-1, keepdim=True)
        ratio = (top - rest) / z.abs().clamp(min=top)
        off = (ratio - limit).abs().masked_fill(~torch.isfinite(ratio), float("inf"))
        gap = torch.minimum(gap, off.amin(-1))
        rest = rest.scatter(-1, at, float("-inf"))
    return gap


# Of every row of logits, how far the selection is from another one.
SELECTION = {
    "softmax": lambda z, m: top_gaps(z.softmax(-1), m.top_k),
    "logit": lambda z, m: top_gaps(z, m.top_k),
    "sigmoid_bias": lambda z, m: grouped(
        z.sigmoid() + m.e_score_correction_bias, m,
        lambda g: g.topk(2, dim=-1).values.sum(-1), float("-inf")),
    "softmax_bias": lambda z, m: top_gaps(
        z.softmax(-1) + m.moe_statics.e_score_correction_bias, m.top_k),
    "softmax_group": lambda z, m: grouped(z.softmax(-1), m, lambda g: g.amax(-1), 0.0),
    "sparsemixer": sparsemixer_gaps,
    "top2": lambda z, m: top_gaps(z.softmax(-1), 2),
    "top1": lambda z, m: top_gaps(z.softmax(-1), 1),
}


class Watch:
    """Forward hooks: smallest routing gap, and of one run what each layer and router gave."""

    def __init__(self, model, selection):
        self.model, self.selection = model, SELECTION[selection]
        self.gap, self.hidden, self.routes, self.handles = float("inf"), None, None, []
        self.last_row, self.gaps = False, []

    def __enter__(self):
        for module in self.model.modules():
            kind = type(module).__name__
            if kind.endswith(ROUTER):
                self.handles.append(module.register_forward_hook(self.router))
            if kind.endswith("Experts") and "Parallel" not in kind:
                self.handles.append(module.register_forward_pre_hook(self.experts))
            if kind.endswith(("DecoderLayer", "DbrxBlock", "SwitchTransformersBlock")):
                self.handles.append(module.register_forward_hook(self.layer, with_kwargs=True))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def record(self):
        self.hidden, self.routes = [], []

    def recorded(self):
        out = {f"hidden.{n}": h for n, h in enumerate(self.hidden)}
        for n, (experts, weights) in enumerate(self.routes):
            out |= {f"route.{n}.experts": experts, f"route.{n}.weights": weights.float()}
        self.hidden = self.routes = None
        return out

    def router(self, module, args, out):
        z = out if torch.is_tensor(out) else out[LOGITS_AT.get(type(module).__name__, 0)]
        z = z.reshape(-1, z.shape[-1]).float()
        gaps = self.selection(z[-1:] if self.last_row else z, module)
        self.gap = min(self.gap, gaps.min().item())
        self.gaps.append(gaps)

    def experts(self, module, args):
        if self.routes is not None and args[1].dim() == 2:
            order = args[1].sort(dim=-1)
            self.routes.append((order.values, args[2].gather(-1, order.indices)))

    def layer(self, module, args, kwargs, out):
        if self.hidden is not None:
            if not self.hidden:
                self.hidden.append((args[0] if args else kwargs["hidden_states"])[0].clone())
            self.hidden.append((out if torch.is_tensor(out) else out[0])[0].clone())


def prompts(model, spec, vocab, seed):
    """Random tokens, each drawn until its routing is safe and so is the greedy continuation.

    None if that cannot be had.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    rows = []
    with Watch(model, spec.router) as watch:
        watch.last_row = spec.batch_is_single  # dynamic RoPE moves earlier rows too
        for length in spec.lengths:
            ids = torch.zeros(1, 0, dtype=torch.long)
            for _ in range(60):
                ids = extended(model, spec, watch, ids[:, :max(0, ids.shape[1] - 2)], length,
                               lambda: torch.randint(4, vocab, (1, 1), generator=generator))
                if ids is None:
                    return None
                if continues(model, spec, watch, ids):
                    break
            else:
                return None
            rows.append(ids)
    return rows


def extended(model, spec, watch, ids, length, draw):
    while ids.shape[1] < length:
        for _ in range(20):
            longer = torch.cat([ids, draw()], 1)
            watch.gap = float("inf")
            forward(model, longer)
            if watch.gap > spec.safe:
                break
        else:
            return None
        ids = longer
    return ids


def continues(model, spec, watch, ids):
    line = ids
    for _ in range(GREEDY + 1):
        watch.gap = float("inf")
        last = forward(model, line)[0, -1]
        if watch.gap < spec.safe or top_gap(last[None], 1) < spec.safe:
            return False
        line = torch.cat([line, last.argmax()[None, None]], 1)
    made = line[0, ids.shape[1]:].tolist()
    return len(set(made)) > 3 and EOS not in made


def padded(rows):
    """Left-padded ids and mask, and positions counted from the first real token."""
    width = max(r.shape[1] for r in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, r in enumerate(rows):
        ids[i, width - r.shape[1]:], mask[i, width - r.shape[1]:] = r[0], 1
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def fresh(model):
    """Undoes what dynamic RoPE remembers of longer inputs."""
    for module in model.modules():
        if hasattr(module, "original_inv_freq") and hasattr(module, "max_seq_len_cached"):
            module.max_seq_len_cached = module.original_max_seq_len
            module.inv_freq = module.original_inv_freq.clone()
    return model


@torch.no_grad()
def forward(model, ids, **more):
    return fresh(model)(input_ids=ids, use_cache=False, **more).logits


def cached(model, ids):
    plain = GenerationConfig(max_new_tokens=GREEDY, do_sample=False, pad_token_id=0)
    made = fresh(model).generate(
        ids, attention_mask=torch.ones_like(ids), generation_config=plain)
    return made[0, ids.shape[1]:].tolist()


@torch.no_grad()
def expect(model, spec, rows):
    """(tensors of expected.safetensors, routing gap, greedy gap, complaint or None)"""
    out, greedy_gap, complaint = {}, float("inf"), None
    with Watch(model, spec.router) as watch:
        for i, ids in enumerate(rows):
            if i == 0:
                watch.record()
            logits = forward(model, ids)
            if i == 0:
                out |= watch.recorded()
            out |= {f"prompt.{i}": ids[0], f"logits.{i}": logits[0]}
            line = ids
            for _ in range(GREEDY):
                if watch.gap < spec.safe:
                    return out, watch.gap, 0, f"routing gap {watch.gap:.1e}"
                last = logits[0, -1]
                greedy_gap = min(greedy_gap, top_gap(last[None], 1))
                line = torch.cat([line, last.argmax()[None, None]], 1)
                logits = forward(model, line)
            out[f"greedy.{i}"] = line[0, ids.shape[1]:]
        gap = watch.gap
    if gap < spec.safe or greedy_gap < spec.safe:
        return out, gap, greedy_gap, f"gaps {gap:.1e} {greedy_gap:.1e}"
    if len({t for i in range(len(rows)) for t in out[f"greedy.{i}"].tolist()}) < 6:
        return out, gap, greedy_gap, "greedy tokens repeat"
    for i, ids in enumerate(rows):
        if cached(model, ids) != out[f"greedy.{i}"].tolist():
            complaint = f"cached generation of prompt {i} differs"
    ids, mask, positions = padded(rows)
    last = forward(model, ids, attention_mask=mask, position_ids=positions)[:, -1]
    out |= {"batch.ids": ids, "batch.mask": mask, "batch.logits": last}
    single = torch.stack([out[f"logits.{i}"][-1] for i in range(len(rows))])
    off = (single - last).abs().max().item()
    if spec.batch_is_single and off > 2e-5:
        complaint = f"batch differs from single by {off}"
    if not spec.batch_is_single and off < 1e-2:
        complaint = "batch does not differ from single"
    return out, gap, greedy_gap, complaint
