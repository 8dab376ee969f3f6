"""Greedy generation by transformers' OLMoE with random weights, as GenerationSpeed measures ours.

python bench/scripts/peer_generate.py LAYERS fp32|bf16 PROMPT TOKENS RUNS [THREADS=2]
Needs torch 2.13 and transformers 5.18; prints a line per run.
"""
import sys, time
import torch
from transformers import OlmoeConfig, OlmoeForCausalLM

layers, dtype, prompt, tokens, runs = int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
torch.set_num_threads(int(sys.argv[6]) if len(sys.argv) > 6 else 2)
torch.manual_seed(0)
config = OlmoeConfig(
    vocab_size=50304, hidden_size=2048, intermediate_size=1024, num_hidden_layers=layers,
    num_attention_heads=16, num_key_value_heads=16, num_experts=64, num_experts_per_tok=8,
    max_position_embeddings=4096, pad_token_id=None, bos_token_id=None, eos_token_id=None)
torch.set_default_dtype(torch.bfloat16 if dtype == "bf16" else torch.float32)
model = OlmoeForCausalLM._from_config(config, experts_implementation="grouped_mm").eval()


@torch.no_grad()
def run(prompt, tokens):
    ids = (torch.arange(prompt) * 7919 + 11)[None] % 50304
    begin = time.perf_counter()
    out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    token = out.logits[:, -1].argmax(-1, keepdim=True)
    middle = time.perf_counter()
    for _ in range(tokens - 1):
        out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
    end = time.perf_counter()
    return middle - begin, end - middle


run(min(prompt, 16), 4)
for _ in range(runs):
    first, rest = run(prompt, tokens)
    print(f"prompt {prompt / first:.1f} tokens/s, decode {(tokens - 1) / rest:.2f} tokens/s", flush=True)
