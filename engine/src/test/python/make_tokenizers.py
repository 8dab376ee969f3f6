"""Writes the vocabularies of src/test/resources/tokenizers: byte.gguf (byte-level, as gpt2) and
sentence.gguf (as llama), trained on the texts of texts.txt, and the tokens that the library
tokenizers makes of those texts by the regular expressions of the models' tokenizer.json files, one
file byte/PRE.hf for each pre-tokenizer. Needs tokenizers and gguf. With a folder as argument it also
writes PRE.gguf there for every pre-tokenizer, for tokenize.mjs. A line of texts.txt is a text with
\\n, \\r, \\t and \\\\ escaped."""
import json
import pathlib
import shutil
import sys

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

here = pathlib.Path(__file__).parent.parent / "resources" / "tokenizers"
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def unescape(line):
    out, i = "", 0
    while i < len(line):
        if line[i] == "\\":
            out += ESCAPES[line[i + 1]]
            i += 1
        else:
            out += line[i]
        i += 1
    return out


texts = [unescape(t) for t in (here / "texts.txt").read_text(encoding="utf-8").split("\n")[:-1]]

ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
PLAIN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def words(digits):
    return (ENDINGS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits
            + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES)


U, L = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def cased(ending, digits, upper=U, lower=L, behind=r"[\r\n/]*"):
    b = r"[^\r\n\p{L}\p{N}]?"
    return (f"{b}{upper}*{lower}+{ending}|{b}{upper}+{lower}*{ending}|{digits}"
            + r"| ?[^\s\p{L}\p{N}]+" + behind + "|" + SPACES)


DEEPSEEK_LLM_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd")
RULES = {
    "gpt-2": [PLAIN],
    "starcoder": [r"\p{N}", PLAIN],
    "llama-bpe": [words(r"\p{N}{1,3}")],
    "qwen2": [words(r"\p{N}")],
    "gpt-4o": [cased(ENDINGS + "?", r"\p{N}{1,3}")],
    "kimi-k2": [
        r"\p{Han}+|" + cased(ENDINGS + "?", r"\p{N}{1,3}", U[:-1] + r"&&[^\p{Han}]]",
                             L[:-1] + r"&&[^\p{Han}]]", r"[\r\n]*")],
    "tekken": [cased("", r"\p{N}")],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
                   r"|\s*[\r\n]|\s+(?!\S)|\s+"],
    "deepseek-v3": [
        r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|" + SPACES],
    "deepseek-coder": [
        r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}"],
    "deepseek-llm": [
        r"[\r\n]", r"\s?[" + DEEPSEEK_LLM_LETTERS + "]+",
        r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$",
        "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}+"],
}
# Not in the table above, but to be compared with llama.cpp.
OTHERS = ["default", "falcon", "dbrx", "glm4", "olmo", "smollm", "refact", "qwen35", "seed-coder"]
# llama.cpp cuts words of several capitals elsewhere.
NOT_IN_LLAMA_CPP = ["kimi-k2"]

special = ["<|begin|>", "<|im_end|>", "<|user|>", "<|user|>now", "  \n"]


def train():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    t.train_from_iterator(
        texts * 2,
        trainers.BpeTrainer(
            vocab_size=1100, min_frequency=2, show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    model = json.loads(t.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return model["vocab"], merges


vocab, merges = train()
tokens = sorted(vocab, key=vocab.get) + special
types = [1] * len(vocab) + [3, 3, 3, 3, 4]


def write(path, pre, bos):
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(64)
    w.add_embedding_length(32)
    w.add_block_count(1)
    w.add_feed_forward_length(32)
    w.add_head_count(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_bos_token_id(len(vocab))
    w.add_eos_token_id(len(vocab) + 1)
    if bos:
        w.add_add_bos_token(True)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def sentence(path):
    """SentencePiece's training joins the most frequent pairs too: scores are the order of joining."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.train_from_iterator(
        texts * 2,
        trainers.BpeTrainer(vocab_size=900, min_frequency=2, show_progress=False, limit_alphabet=150))
    model = json.loads(t.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    joined = {"".join(m if not isinstance(m, str) else m.split(" ")): i for i, m in enumerate(model["merges"])}
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(64)
    w.add_embedding_length(32)
    w.add_block_count(1)
    w.add_feed_forward_length(32)
    w.add_head_count(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model("llama")
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    scores = [0.0] * len(names)
    kinds = [2, 3, 3] + [6] * 256
    marks = ["<|begin|>", "<|im_end|>", "<|user|>", "<|user|>now", "[USER]"]
    for p in (p for p in pieces if p not in names + marks):
        names.append(p)
        scores.append(-float(joined.get(p, len(joined))))
        kinds.append(1)
    for p in marks:
        names.append(p)
        scores.append(0.0)
        kinds.append(4 if p == "[USER]" else 3)
    w.add_token_list(names)
    w.add_token_scores(scores)
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


write(here / "byte.gguf", "gpt-2", False)
sentence(here / "sentence.gguf")
(here / "byte").mkdir(exist_ok=True)
for name, expressions in RULES.items():
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in merges], ignore_merges=name in ("llama-bpe", "tekken")))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(e), "isolated") for e in expressions]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.add_tokens([AddedToken(special[-1], normalized=False)])
    assert t.token_to_id(special[-1]) == len(vocab)
    with open(here / "byte" / f"{name}.hf", "w") as out:
        for text in texts:
            ids = t.encode(text, add_special_tokens=False).ids
            ids = [len(vocab) + len(special) - 1 if i == len(vocab) else i for i in ids]
            out.write(" ".join(map(str, ids)) + "\n")
if len(sys.argv) > 1:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in [r for r in RULES if r not in NOT_IN_LLAMA_CPP] + OTHERS:
        write(folder / f"{name}.gguf", name, name == "llama-bpe")
    shutil.copy(here / "sentence.gguf", folder)
