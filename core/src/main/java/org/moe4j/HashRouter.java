package org.moe4j;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.StoredTensor;
import org.moe4j.tensor.Tensor;

/**
 * Hash layers: a table, made before training, gives the expert of each vocabulary id; the weight is
 * 1 and nothing is learned (S13, "Hash Layers For Large Sparse Models", section 3). An expert that
 * no token of a batch goes to has a gradient of zeros: an optimiser with momentum and weight decay
 * goes on moving it.
 *
 * <p>State: {@code gate.table} [V] I64, the expert of each id, -1 before the table is made. Kinds:
 *
 * <ul>
 *   <li>random: from the seed and the layer's index, at once (the released code's choice, seed 42);
 *   <li>balanced: from the training text's frequencies, by {@link #prepare}; the same in all
 *       layers;
 *   <li>clustered: k-means with E centres over the token embeddings of a trained model of the same
 *       vocabulary; {@link #prepare} reads them from the checkpoint that option {@code embeddings}
 *       names, or the caller makes the table and {@link #use uses} it;
 *   <li>dispersed: the words of each such cluster spread over all experts.
 * </ul>
 */
public final class HashRouter implements Router {
  /** How the table is made. */
  public enum Kind {
    RANDOM,
    BALANCED,
    CLUSTERED,
    DISPERSED
  }

  private static final String NAME = "hash";

  /** What is fixed before training and reads no scores. */
  static final Taxonomy FIXED =
      Taxonomy.TOKEN_TOP_K
          .with("chooser", "fixed rule")
          .with("signal", "none")
          .with("learning", "none")
          .with("choices", "1")
          .with("gate", "fixed")
          .with("balance", "by data");

  private final Kind kind;
  private final int experts;
  private final long seed;
  private final String embeddings;
  private final Parameter table;

  private HashRouter(RouterSetup setup) {
    Options options = setup.options();
    int vocab = TokenIds.vocab(setup.config(), options);
    this.kind = options.constant("table", Kind.class);
    this.experts = setup.config().experts();
    this.seed = HashTables.mix(options.whole("seed")) + setup.layer();
    this.embeddings = options.word("embeddings");
    long[] start = new long[vocab];
    Arrays.fill(start, -1);
    if (kind == Kind.RANDOM) {
      start = HashTables.random(vocab, experts, seed);
    }
    this.table = state(setup, "gate.table", start, vocab);
  }

  static Parameter state(RouterSetup setup, String name, long[] values, long... shape) {
    try (Scope scope = Scope.open()) {
      return setup.store().state(name, setup.layer(), Tensor.of(values, shape));
    }
  }

  static RouterEntry entry() {
    return RouterEntry.of(NAME, "S13", "hash layers: a table from token ids to experts")
        .taxonomy(FIXED)
        .options(
            OptionKey.word(
                "table",
                "random",
                List.of("random", "balanced", "clustered", "dispersed"),
                "how it is made: by chance, by frequency, or by clusters of embeddings"),
            TokenIds.vocabKey(),
            seedKey(),
            OptionKey.word(
                "embeddings",
                "",
                List.of(),
                "clustered, dispersed: the checkpoint folder of a trained model with the same"
                    + " tokenizer (data.tokenizer)"))
        .unscored()
        .choices(1)
        .flops(c -> 0)
        .valid(c -> TokenIds.vocab(c, c.routerEntry().check(c)))
        .build(HashRouter::new, c -> 0);
  }

  static OptionKey seedKey() {
    return OptionKey.whole("seed", 42, "decides what is left to chance, with the layer's index");
  }

  /** The expert of each id [V]; -1 everywhere before the table is made. */
  public long[] table() {
    return table.tensor().toLongs();
  }

  /**
   * Takes this table.
   *
   * @param experts the expert of each id [V]
   * @throws MoeException if it is for another vocabulary or names experts there are not
   */
  public void use(long[] experts) {
    if (experts.length != table.tensor().numel()) {
      throw new MoeException(
          table.name()
              + ": a table of "
              + experts.length
              + " words for a vocabulary of "
              + table.tensor().numel());
    }
    for (int v = 0; v < experts.length; v++) {
      if (experts[v] < 0 || experts[v] >= this.experts) {
        throw new MoeException(
            table.name() + ": word " + v + " goes to expert " + experts[v] + " of " + this.experts);
      }
    }
    try (Scope scope = Scope.open()) {
      table.tensor().copyInPlace(Tensor.of(experts));
    }
  }

  @Override
  public void prepare(CorpusCounts corpus) {
    if (kind == Kind.BALANCED) {
      use(HashTables.balanced(corpus.tokens(), experts));
    } else if (kind != Kind.RANDOM) {
      try (Scope scope = Scope.open()) {
        Tensor words = read();
        long[] clusters =
            KMeans.fit(words, experts, new RandomSource(seed & Long.MAX_VALUE)).predict(words);
        use(
            kind == Kind.CLUSTERED
                ? clusters
                : HashTables.dispersed(clusters, corpus.tokens(), experts));
      }
    }
  }

  /** The token embedding of the checkpoint: the one tensor whose name says so, [V,d]. */
  private Tensor read() {
    if (embeddings.isEmpty()) {
      throw new MoeException(
          "router \"hash\": a "
              + kind.name().toLowerCase(Locale.ROOT)
              + " table needs token embeddings; set option embeddings to the checkpoint folder of a"
              + " trained model with the same tokenizer");
    }
    try (Safetensors file = Safetensors.open(Path.of(embeddings))) {
      List<String> named =
          file.names().stream()
              .filter(n -> n.equals("embed.weight") || n.endsWith("embed_tokens.weight"))
              .toList();
      if (named.size() != 1) {
        throw new MoeException(
            embeddings + ": has no tensor embed.weight or embed_tokens.weight to be clustered");
      }
      StoredTensor stored = file.describe(named.getFirst());
      long vocab = table.tensor().numel();
      if (stored.sizes().length != 2 || stored.sizes()[0] != vocab) {
        throw new MoeException(
            embeddings
                + ": "
                + stored.name()
                + " is "
                + stored.shape()
                + " for a vocabulary of "
                + vocab
                + "; use that model's tokenizer.json as data.tokenizer");
      }
      return file.load(stored.name()).to(Device.CPU).to(DType.F64);
    }
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    long[] choice = table();
    long[] ids = TokenIds.of(context, NAME, choice.length);
    long[] chosen = new long[ids.length];
    for (int t = 0; t < ids.length; t++) {
      chosen[t] = ids[t] == TokenIds.NONE ? -1 : choice[(int) ids[t]];
      if (chosen[t] < 0 && ids[t] != TokenIds.NONE) {
        throw new MoeException(
            table.name()
                + ": the "
                + kind.name().toLowerCase(Locale.ROOT)
                + " table has no expert for token "
                + ids[t]
                + "; it is made from the training text's counts, by Router.prepare");
      }
    }
    return FixedRule.plan(experts, chosen, x, context);
  }
}
