"""One full training step of transformers' OLMoE, as `moe bench train` measures ours.

python bench/scripts/peer_train.py --dtype fp32|bf16 [--steps 20] [--threads 2]
Needs torch 2.13 and transformers 5.18; prints one JSON document.
"""
import argparse, json, resource, statistics, time
import torch
from transformers import OlmoeConfig, OlmoeForCausalLM

p = argparse.ArgumentParser()
p.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
p.add_argument("--steps", type=int, default=20)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--layers", type=int, default=4)
p.add_argument("--hidden", type=int, default=256)
p.add_argument("--heads", type=int, default=4)
p.add_argument("--experts", type=int, default=16)
p.add_argument("--top-k", type=int, default=2)
p.add_argument("--ffn", type=int, default=256)
p.add_argument("--vocab", type=int, default=4096)
p.add_argument("--seq", type=int, default=128)
p.add_argument("--batch", type=int, default=16)
a = p.parse_args()

torch.set_num_threads(a.threads)
torch.manual_seed(0)
config = OlmoeConfig(
    vocab_size=a.vocab, hidden_size=a.hidden, intermediate_size=a.ffn,
    num_hidden_layers=a.layers, num_attention_heads=a.heads, num_key_value_heads=a.heads,
    num_experts=a.experts, num_experts_per_tok=a.top_k, max_position_embeddings=a.seq,
    output_router_logits=True, router_aux_loss_coef=0.01, use_cache=False,
    pad_token_id=None, bos_token_id=None, eos_token_id=None)
model = OlmoeForCausalLM._from_config(config, experts_implementation="grouped_mm").train()
optimiser = torch.optim.AdamW(model.parameters(), lr=4e-4, fused=True)


def step():
    ids = torch.randint(0, a.vocab, (a.batch, a.seq))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


for _ in range(3):
    step()
times = []
for _ in range(a.steps):
    begin = time.perf_counter()
    step()
    times.append(time.perf_counter() - begin)
median = statistics.median(times)
print(json.dumps({
    "tokens_per_s": a.batch * a.seq / median, "ms": median * 1e3,
    "params": sum(p.numel() for p in model.parameters()),
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
