"""Makes the fixtures of BpeTokenizerTest and PreTokenizerTest with the Hugging Face tokenizers library.

  python bpe_fixtures.py corpus     writes bpe-corpus.txt (made-up words; one document a line)
  python bpe_fixtures.py expected   reads bpe-corpus.txt and tokenizer.json, which BpeTrainer wrote for
                                    it (vocabulary 700), checks that the library's own trainer learns the
                                    same merges, and writes expected.json and code-points.txt
"""
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parent.parent / "resources/org/moe4j/train/data"
VOCAB = 700


def corpus():
    rng = random.Random(7)
    onsets = ["b", "br", "ch", "d", "f", "gl", "k", "l", "m", "n", "p", "qu", "r", "s", "st", "th", "tr", "v", "w", ""]
    vowels = ["a", "e", "i", "o", "u", "ea", "ou", "ie", "é", "ö"]
    codas = ["", "", "n", "r", "s", "t", "nd", "st", "ll", "ing"]
    syllable = lambda: rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas)
    words = ["".join(syllable() for _ in range(rng.choice([1, 1, 2, 2, 3]))) for _ in range(600)]
    words += ["日本語", "данные", "naïve", "42", "1999", "3.14", "🎉", "👩‍👩‍👧", "don't", "they'll", "aaaa", "abababab"]
    weights = [1 / (i + 1) for i in range(len(words))]
    order = words[:]
    rng.shuffle(order)
    lines = []
    for _ in range(700):
        text = " ".join(rng.choices(order, weights, k=rng.randint(3, 14)))
        text += rng.choice([".", "!", "?", "...", "; \"so\"", "  (twice)"])
        lines.append(text.capitalize() if rng.random() < 0.5 else text)
    (OUT / "bpe-corpus.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def nasty(tokenizer):
    rng = random.Random(11)
    texts = [
        "", " ", "  ", "   a", "a   ", "a  b", "\n", "\n\n a", "a\t\tb", " \t\n x", "\r\n\r\nx", "x \n", "a\u00a0b", "a\u00a0\u00a0b",
        "\u2003em", "\u2028\u2029line", "a\u0085b", "\u200bzero", "\u180e\u1680x", "\x00\x01\x1c\x1f\x7f", "a\x1cb", "\ufeffbom",
        "don't can't we've I'll you'd he's I'm they're", "DON'T 'S 's 'st 'll'll ''s '", " 's 'tis rock'n'roll", "'re've'm'd", "l'l 'l", "'",
        "1234567890 3.14 1,000 ½ ²³ Ⅷ ٣ 一二 ①", " 1 12a a12 12-3", "don’t “quoted”", "!!!??? ... --- $$$ <<>>", "e\u0301 n\u0303 \u0301alone \u0301",
        "日本語のテキスト。漢字とカナ", "한국어 텍스트", "Это данные", "नमस्ते दुनिया", "مرحبا بالعالم", "שלום", "ไทย", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "𐐷𐐷 𠀀𠀁",
        "🎉", " 🎉🎉 ", "👩‍👩‍👧 👍🏽 🇩🇪", "❤️‍🔥a1🎉", "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> <|endoftext|>", "<|endoftext|",
        "<|endof<|endoftext|>text|>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ab" * 200, "日" * 100, " " * 50 + "x", "\n" * 33,
        "\ufffd\ufffe\uffff", "\U0010ffff\U000e0001", "ﬁ ﬂ ǅ ʰ ª º ⁿ", "a\u034f\u200d\u2060b", "x²y", "\u3000全角\u3000", "_under_score_", "CamelCaseWord", "http://example.org/a?b=c&d=1#e",
    ]
    pools = [
        "abcdefgh'tsrvemld ", "  \t\n\r\u00a0\u2003\u3000a'", "019٣½Ⅷ一 a.", "é́ñ̃ö̈ \u0301\u20dd", "日本語한국กขคあ ", "🎉👍🏽‍❤️🇩🇪 a1", "!?.,;:'\"()[]{}<|> a1\n",
    ]
    for _ in range(120):
        pool = rng.choice(pools) if rng.random() < 0.6 else "".join(pools)
        texts.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 24))))
    for _ in range(60):
        points = [rng.choice([rng.randrange(0x80), rng.randrange(0x3000), rng.randrange(0x110000)]) for _ in range(12)]
        texts.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.encode_special_tokens = True
    return [{"text": t, "ids": tokenizer.encode(t).ids, "ordinary": plain.encode(t).ids} for t in texts]


def decoded(tokenizer):
    rng = random.Random(13)
    sequences = [[rng.randrange(VOCAB) for _ in range(rng.randint(1, 30))] for _ in range(60)]
    sequences += [[rng.randrange(256) for _ in range(rng.randint(1, 12))] for _ in range(200)]
    # Bytes of 0x80 and above alone: mostly broken characters.
    high = [i for i in range(256) if ord(tokenizer.id_to_token(i)) > 0x7E]
    sequences += [[rng.choice(high) for _ in range(rng.randint(1, 9))] for _ in range(300)]
    return [{"ids": s, "text": tokenizer.decode(s)} for s in sequences]


def expected():
    tokenizer = Tokenizer.from_file(str(OUT / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == VOCAB
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.train_from_iterator(
        (OUT / "bpe-corpus.txt").read_text(encoding="utf-8").split("\n"),
        trainers.BpeTrainer(vocab_size=VOCAB, min_frequency=2, show_progress=False, special_tokens=["<|endoftext|>"],
                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    pairs = lambda t: [m.split(" ") if isinstance(m, str) else m for m in json.loads(t.to_str())["model"]["merges"]]
    assert pairs(tokenizer) == pairs(theirs), "the library's trainer learns other merges"
    result = {"encode": nasty(tokenizer), "decode": decoded(tokenizer)}
    (OUT / "expected.json").write_text(json.dumps(result, indent=None, separators=(",", ":")), encoding="utf-8")

    # The kind of every code point, as runs: a letter sticks to a letter, a digit to a digit and so on.
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    runs, last = [], ""
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        kinds = [k for k, mate in (("L", "a"), ("N", "1"), ("O", "!"), ("S", "\t")) if len(cut.pre_tokenize_str(mate + chr(point))) == 1]
        assert len(kinds) == 1, (point, kinds)
        if kinds[0] != last:
            last = kinds[0]
            runs.append(f"{point:x}{last}")
    lines = [" ".join(runs[i:i + 16]) for i in range(0, len(runs), 16)]
    (OUT / "code-points.txt").write_text("\n".join(lines) + "\n")


{"corpus": corpus, "expected": expected}[sys.argv[1]]()
