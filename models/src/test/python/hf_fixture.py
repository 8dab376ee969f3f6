"""Fixtures of HfCheckpointTest, made with transformers 5.18 on torch 2.13.

    python hf_fixture.py make src/test/resources/hf       tiny random checkpoints saved by transformers
    python hf_fixture.py expect FOLDER ...                what transformers says about checkpoints

Both write expected.safetensors into each folder: ids [1,17], logits [1,17,V] in F32 and the greedy
continuation of the first five ids.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, MixtralConfig, OlmoeConfig

COMMON = dict(
    vocab_size=61, hidden_size=32, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=4, max_position_embeddings=64, pad_token_id=None,
    bos_token_id=None, eos_token_id=None,
)


def randomise(model):
    generator = torch.Generator().manual_seed(7)
    for name, p in model.named_parameters():
        if p.dim() == 1:
            p.data = 1 + 0.2 * torch.randn(p.shape, generator=generator)
        else:
            p.data = 0.25 * torch.randn(p.shape, generator=generator)
    return model


def make(root):
    olmoe = OlmoeConfig(
        num_experts=6, num_experts_per_tok=3, num_key_value_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}, **COMMON)
    mixtral = MixtralConfig(
        num_local_experts=4, num_experts_per_tok=2, num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4}, **COMMON)
    for name, config, dtype, shard in [
        ("olmoe", olmoe, torch.float32, "60KB"), ("mixtral", mixtral, torch.bfloat16, "5GB"),
    ]:
        model = randomise(AutoModelForCausalLM.from_config(config)).to(dtype)
        folder = root / name
        model.save_pretrained(folder, max_shard_size=shard)
        (folder / "generation_config.json").unlink(missing_ok=True)
        expect(folder)


@torch.no_grad()
def expect(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not any(info.values()), info
    vocab = model.config.vocab_size
    ids = torch.tensor([[(7 * i * i + 3 * i + 5) % vocab for i in range(17)]])
    logits = model(ids).logits.contiguous()
    greedy = ids[:, :5]
    for _ in range(12):
        greedy = torch.cat([greedy, model(greedy).logits[:, -1:].argmax(-1)], 1)
    save_file(
        {"ids": ids, "logits": logits, "greedy": greedy[0, 5:].contiguous()},
        folder / "expected.safetensors")
    print(folder, model.config.model_type, "largest logit", logits.abs().max().item())


if sys.argv[1] == "make":
    make(Path(sys.argv[2]))
else:
    for folder in sys.argv[2:]:
        expect(Path(folder))
