"""Fixtures of tokenizers of every kind, with what the tokenizers library makes of texts.

    python make_tokenizers.py ../resources/tokenizers

A directory holds tokenizer.json and cases.json: texts with their ids, without and with special
tokens, the decoded text, and the parts that decoding token by token gives.
"""
import json
import shutil
import sys
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
    "Ein Wörterbuch für Käufer, Größe und Maß.", "Le cœur a ses raisons; déjà vu.",
    "日本語の文章と漢字。今日は良い天気です。", "emoji 😀 and 👩‍👩‍👧 and 🇩🇪 flags",
    "def f(x):\n    return x + 1\n", "1234567890 3.14159 2^53",
] * 3

TEXTS = [
    "The quick fox.", "", " ", "  two  spaces  ", "Größe déjà vu", "e\u0301 combining a\u0308\u0323",
    "日本語の天気", "unseen: ꙮ 𒀀 ﷽", "😀👩‍👩‍👧🇩🇪🤖", "line\nbreak\r\n\ttab", "a\x00b",
    "<s>spelled</s> and <|end|>here", "The dog 😀 does 日本 not mind\u2026", "ﬁ ligature Ⅷ",
]


def byte_level():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=360, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens([AddedToken("<s>", special=True), AddedToken("<|end|>", special=True)])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def byte_fallback():
    special = ["<unk>", "<s>", "</s>"]
    alphabet = special + ["<0x%02X>" % b for b in range(256)]
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained.train_from_iterator(CORPUS[:3] + CORPUS[5:7], trainers.BpeTrainer(
        vocab_size=160, show_progress=False, special_tokens=special))
    model = json.loads(trained.to_str())["model"]
    pieces = [p for p in model["vocab"] if p not in special]
    vocab = {p: i for i, p in enumerate(alphabet + pieces)}
    t = Tokenizer(models.BPE(
        vocab=vocab, merges=[tuple(m) for m in model["merges"]], unk_token="<unk>", fuse_unk=True,
        byte_fallback=True))
    t.normalizer = trained.normalizer
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)])
    return t


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=120, show_progress=False, unk_token="<unk>",
        special_tokens=["<pad>", "</s>", "<unk>"]))
    t.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", t.token_to_id("</s>"))])
    t.enable_truncation(4)
    t.enable_padding(length=8)
    return t


def parts(tokenizer, ids):
    stream = decoders.DecodeStream(skip_special_tokens=True)
    return [stream.step(tokenizer, i) or "" for i in ids]


def main():
    root = Path(sys.argv[1])
    for name, make in dict(
            byte_level=byte_level, byte_fallback=byte_fallback, unigram=unigram).items():
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        t = make()
        t.save(str(folder / "tokenizer.json"))
        t.no_truncation()
        t.no_padding()
        cases = []
        for text in TEXTS:
            ids = t.encode(text, add_special_tokens=False).ids
            cases.append(dict(
                text=text, ids=ids, prompt=t.encode(text).ids, decoded=t.decode(ids),
                parts=parts(t, ids)))
        (folder / "cases.json").write_text(json.dumps(dict(
            vocab_size=t.get_vocab_size(), special=next(
                a.content for a in t.get_added_tokens_decoder().values() if a.special),
            cases=cases), ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
