"""The encoder-decoder family: switch_transformers, and the layout of google/switch-c-2048."""
import json
import shutil
from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig, SwitchTransformersConfig
from transformers import SwitchTransformersForConditionalGeneration as Switch

from .oracle import GREEDY, Watch, top_gap
from .spec import Spec
from .weights import randomise

COMMON = dict(vocab_size=64, dropout_rate=0.1, decoder_start_token_id=0, pad_token_id=0,
              eos_token_id=1, router_jitter_noise=0.01)
BASE = COMMON | dict(
    d_model=16, d_kv=8, d_ff=20, num_heads=2, num_layers=2, num_decoder_layers=2,
    num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, num_experts=4, expert_capacity=64)
CAPACITY = COMMON | dict(
    d_model=16, d_kv=6, d_ff=12, num_heads=3, num_layers=3, num_decoder_layers=2,
    num_sparse_encoder_layers=3, num_sparse_decoder_layers=2, num_experts=4, expert_capacity=5,
    relative_attention_num_buckets=8, relative_attention_max_distance=20,
    tie_word_embeddings=False)
SHARDS = COMMON | dict(
    d_model=20, d_kv=8, d_ff=24, num_heads=3, num_layers=3, num_decoder_layers=3,
    num_sparse_encoder_layers=3, num_sparse_decoder_layers=3, num_experts=6, expert_capacity=64,
    vocab_size=48, tie_word_embeddings=False)
KEYS_4X = dict(feed_forward_proj="relu", is_gated_act=False, dense_act_fn="relu",
               torch_dtype="float32", transformers_version="4.25.0")
# What the released file says of three sparse decoder blocks and a head of its own.
WRONG = dict(num_decoder_layers=2, num_sparse_decoder_layers=3, decoder_sparse_step=0,
             encoder_sparse_step=1, is_full_sparse=True, router_type="tokens_masked",
             feed_forward_proj="relu", is_gated_act=False)
NOT_IN_RELEASE = ("tie_word_embeddings", "dtype", "architectures", "transformers_version",
                  "bos_token_id", "is_decoder", "add_cross_attention", "_name_or_path", "id2label",
                  "label2id", "output_attentions", "output_hidden_states", "return_dict",
                  "chunk_size_feed_forward")

SCALE = {r"(SelfAttention|EncDecAttention)\.q\.weight$": 0.45}
SPECS = [
    (Spec("switch_transformers-base", "switch_transformers", BASE, "top1", dtype="float32",
          style="4x", lengths=(17, 33), scale=SCALE | {"shared": 1.0}), 9),
    (Spec("switch_transformers-capacity", "switch_transformers", CAPACITY, "top1",
          lengths=(19, 40), scale=SCALE), 14),
    (Spec("switch_transformers-shards", "switch_transformers", SHARDS, "top1",
          lengths=(17, 33), scale=SCALE), 9),
]


def build(spec):
    config = SwitchTransformersConfig(**spec.config)
    return Switch._from_config(config, dtype=torch.float32, attn_implementation="eager").eval()


def tie_inputs(model):
    """Both stacks read `shared`, which untied models of transformers 5 no longer do."""
    model.encoder.embed_tokens.weight.data = model.shared.weight.data
    model.decoder.embed_tokens.weight.data = model.shared.weight.data


@torch.no_grad()
def forward(model, ids, decoder, **more):
    return model(input_ids=ids, decoder_input_ids=decoder, use_cache=False, **more).logits


def draw(spec, steps, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    vocab = spec.config["vocab_size"]
    rows = [torch.randint(4, vocab, (1, n), generator=generator) for n in spec.lengths]
    decoders = [torch.cat([torch.zeros(1, 1, dtype=torch.long),
                           torch.randint(4, vocab, (1, steps - 1), generator=generator)], 1)
                for _ in rows]
    return rows, decoders


class Routes(Watch):
    """Also tells which tokens an expert had no room for, as expert -1."""

    def experts(self, module, args):
        if self.routes is not None:
            chosen = args[1][:, 0]
            expert = torch.where(chosen.any(-1), chosen.argmax(-1), -1)
            self.routes.append((expert[:, None], args[2]))


@torch.no_grad()
def expect(model, spec, rows, decoders):
    out, greedy_gap = {}, float("inf")
    with Routes(model, spec.router) as watch:
        for i, (ids, decoder) in enumerate(zip(rows, decoders)):
            if i == 0:
                watch.record()
            logits = forward(model, ids, decoder)
            if watch.gap < spec.safe:
                return out, watch.gap, 0, "routing gap"
            if i == 0:
                out |= blocks(model, watch.recorded())
            out |= {f"prompt.{i}": ids[0], f"decoder.{i}": decoder[0], f"logits.{i}": logits[0]}
            line = decoder[:, :1]
            for _ in range(GREEDY):
                last = forward(model, ids, line)[0, -1]
                greedy_gap = min(greedy_gap, top_gap(last[None], 1))
                line = torch.cat([line, last.argmax()[None, None]], 1)
            out[f"greedy.{i}"] = line[0, 1:]
    gap = watch.gap
    if gap < spec.safe or greedy_gap < spec.safe:
        return out, gap, greedy_gap, "gaps"
    plain = GenerationConfig(max_new_tokens=GREEDY, do_sample=False, pad_token_id=0,
                             decoder_start_token_id=0)
    for i, ids in enumerate(rows):
        made = model.generate(ids, generation_config=plain)[0, 1:]
        if made.tolist() != out[f"greedy.{i}"].tolist():
            return out, gap, greedy_gap, "cached generation differs"
    if len(set(torch.cat([out["greedy.0"], out["greedy.1"]]).tolist())) < 5:
        return out, gap, greedy_gap, "greedy tokens repeat"
    width = max(spec.lengths)
    ids, mask = torch.zeros(2, width, dtype=torch.long), torch.zeros(2, width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, :row.shape[1]], mask[i, :row.shape[1]] = row[0], 1
    both = torch.cat(decoders)
    last = forward(model, ids, both, attention_mask=mask)[:, -1]
    out |= {"batch.ids": ids, "batch.mask": mask, "batch.decoder": both, "batch.logits": last}
    off = (last - torch.stack([out[f"logits.{i}"][-1] for i in range(2)])).abs().max()
    dropped = any((v < 0).any() for k, v in out.items() if k.endswith(".experts"))
    wanted = spec.name.endswith("capacity")
    complaint = f"batch differs by {off}" if off > 2e-5 else None
    if dropped != wanted:
        complaint = f"dropped {dropped}"
    return out, gap, greedy_gap, complaint


def blocks(model, recorded):
    """encoder.0 is the input of the first block, encoder.i and decoder.i outputs of block i - 1."""
    encoders = len(model.encoder.block)
    out = {}
    for name, value in recorded.items():
        kind, n = name.split(".")[:2]
        if kind == "hidden":
            n = int(n)
            name = f"encoder.{n}" if n <= encoders else f"decoder.{n - encoders}"
            name = name.replace("coder.", "coder_hidden.")
        out[name] = value
    return out


def save(model, spec, folder):
    """Released names of a small sibling: everything in model.safetensors, `shared` once."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    dtype = getattr(torch, spec.dtype)
    tensors = {n: t.to(dtype).contiguous() for n, t in model.state_dict().items()
               if not n.endswith("embed_tokens.weight")}
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | dict(dtype=spec.dtype)
    if spec.style == "4x":
        config.pop("dtype")
        config |= KEYS_4X
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load(spec, folder):
    model, info = Switch.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    missing = {n for n in info["missing_keys"] if not n.endswith("embed_tokens.weight")}
    assert not missing and not info["unexpected_keys"], f"{spec.name}: {info}"
    if not model.config.tie_word_embeddings:
        tie_inputs(model)
    return model.eval()


def save_shards(model, spec, folder, limit=17_000):
    """Torch zip shards as a conversion from T5X leaves them.

    The experts of a block are slices of one [E, in, out] stack, stored transposed: several
    tensors share a storage, at offsets, with strides. Non-experts come as an ordered dictionary
    with the metadata of a module, or plain.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    half = {n: t.to(torch.bfloat16).contiguous() for n, t in model.state_dict().items()}
    half["decoder.lm_head.weight"] = half.pop("lm_head.weight")
    for n in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        half[n] = half["shared.weight"]
    shards, size = [OrderedDict()], 0
    for group in groups(half, spec.config["num_experts"]):
        need = sum(2 * t.numel() for t in group.values())
        if size and size + need > limit:
            shards.append(OrderedDict())
            size = 0
        shards[-1].update(group)
        size += need
    index = {"metadata": {"total_size": sum(2 * t.numel() for t in half.values())},
             "weight_map": {}}
    for i, shard in enumerate(shards, 1):
        file = f"pytorch_model-{i:05}-of-{len(shards):05}.bin"
        if i == 1:
            shard._metadata = OrderedDict({"": {"version": 1}})
        torch.save(shard if i == 1 else dict(shard), folder / file)
        index["weight_map"] |= dict.fromkeys(shard, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")
    config = model.config.to_dict() | WRONG
    config = {k: v for k, v in config.items() if k not in NOT_IN_RELEASE and v is not None}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def groups(tensors, experts):
    """Tensors that share a storage or belong together, in the order of the blocks."""
    plain = {n: t for n, t in tensors.items() if ".experts." not in n}
    yield {n: t for n, t in plain.items() if "embed" in n or "shared" in n or "lm_head" in n}
    for stack in ("encoder.", "decoder."):
        yield {n: t for n, t in plain.items() if n.startswith(stack)
               and "embed" not in n and "lm_head" not in n}
        names = [n for n in tensors if n.startswith(stack) and ".experts.expert_0." in n]
        for name in names:
            for part in (range(experts * 2 // 3), range(experts * 2 // 3, experts)):
                keys = [name.replace("expert_0.", f"expert_{e}.") for e in part]
                stacked = torch.stack([tensors[k].T for k in keys]).contiguous()
                yield {k: stacked[i].T for i, k in enumerate(keys)}


def load_shards(spec, folder):
    """The model that the tensors describe, not the one that config.json describes."""
    weight_map = json.loads((folder / "pytorch_model.bin.index.json").read_text())["weight_map"]
    tensors = {}
    for file in sorted(set(weight_map.values())):
        tensors |= torch.load(folder / file, weights_only=True)
    assert set(tensors) == set(weight_map)
    tensors["lm_head.weight"] = tensors.pop("decoder.lm_head.weight")
    model = build(spec)
    model.load_state_dict({n: t.float() for n, t in tensors.items()})
    return model.eval()


def check_all(root, wanted, write):
    for spec, _ in SPECS:
        if wanted and not any(spec.name.startswith(w) for w in wanted):
            continue
        expected = load_file(root / spec.name / "expected.safetensors")
        model = (load_shards if spec.name.endswith("shards") else load)(spec, root / spec.name)
        off = max((forward(model, expected[f"prompt.{i}"][None], expected[f"decoder.{i}"][None])[0]
                   - expected[f"logits.{i}"]).abs().max().item() for i in range(2))
        print(f"{spec.name:26} {off:.1e}", flush=True)
        assert off < 1e-5


def make_all(root, wanted, write):
    for spec, steps in SPECS:
        if wanted and not any(spec.name.startswith(w) for w in wanted):
            continue
        sharded = spec.name.endswith("shards")
        model = build(spec)
        for seed in range(1, 3000):
            randomise(model, seed, spec)
            tie_inputs(model)
            rows, decoders = draw(spec, steps, seed)
            complaint = expect(model, spec, rows, decoders)[3]
            if not complaint:
                break
        else:
            raise SystemExit(f"{spec.name}: {complaint}")
        folder = root / spec.name
        (save_shards if sharded else save)(model, spec, folder)
        loaded = (load_shards if sharded else load)(spec, folder)
        out, routing, greedy, complaint = expect(loaded, spec, rows, decoders)
        assert not complaint, complaint
        drift = (forward(model, rows[0], decoders[0])[0] - out["logits.0"]).abs().max().item()
        assert drift < 1e-5
        write(folder, out, seed, routing, greedy)
        print(f"{spec.name:26} seed {seed:4} routing {routing:.1e} greedy {greedy:.1e} "
              f"drift {drift:.0e} std {out['logits.0'].std():.2f}", flush=True)
