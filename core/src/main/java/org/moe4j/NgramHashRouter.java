package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Hash layers that look at a token's place among others: at the n-gram that ends with it (n = 2:
 * the bigram), at the token before alone, at the position, or, as an upper bound that no model can
 * reach, at the token to come (S13, "Hash Layers For Large Sparse Models", section 3.1). The weight
 * is 1.
 *
 * <p>State: {@code gate.seed} [1] I64; together with {@link HashTables#bucket} it is the whole
 * function. A text's first tokens see nothing before them; where the context tells texts in a
 * sequence apart, nothing is read across their border. Positions count from the text's beginning.
 */
public final class NgramHashRouter implements Router {
  /** What is hashed. */
  private enum Reads {
    NGRAM,
    PREVIOUS,
    POSITION,
    NEXT
  }

  private final String name;
  private final Reads reads;
  private final int n;
  private final int vocab;
  private final int experts;
  private final Parameter seed;

  private NgramHashRouter(RouterSetup setup, Reads reads, int n) {
    this.name = setup.config().router();
    this.reads = reads;
    this.n = n;
    this.vocab = TokenIds.vocab(setup.config(), setup.options());
    this.experts = setup.config().experts();
    long start = HashTables.mix(setup.options().whole("seed")) + setup.layer();
    this.seed = HashRouter.state(setup, "gate.seed", new long[] {start}, 1);
  }

  static RouterEntry entry() {
    return of(RouterEntry.of(
            "hash-ngram", "S13", "hash layers: the bigram (or n-gram, or position) decides"))
        .causality(Causality.PAST)
        .options(
            OptionKey.word(
                "reads",
                "ngram",
                List.of("ngram", "previous", "position"),
                "the n tokens up to this one, the one before alone, or the position"),
            OptionKey.whole("n", 2, "tokens of an n-gram"),
            TokenIds.vocabKey(),
            HashRouter.seedKey())
        .valid(
            c -> {
              Options options = c.routerEntry().check(c);
              TokenIds.vocab(c, options);
              order(options);
            })
        .build(
            s ->
                new NgramHashRouter(
                    s, s.options().constant("reads", Reads.class), order(s.options())),
            c -> 0);
  }

  /** The oracle. */
  static RouterEntry future() {
    return of(RouterEntry.of(
            "hash-future", "S13", "hash layers: the next token decides (an oracle, no model)"))
        .causality(Causality.LOOKS_AROUND)
        .options(TokenIds.vocabKey(), HashRouter.seedKey())
        .valid(c -> TokenIds.vocab(c, c.routerEntry().check(c)))
        .build(s -> new NgramHashRouter(s, Reads.NEXT, 1), c -> 0);
  }

  private static RouterEntry.Builder of(RouterEntry.Builder entry) {
    return entry
        .taxonomy(HashRouter.FIXED.with("balance", "none"))
        .unscored()
        .choices(1)
        .flops(c -> 0);
  }

  private static int order(Options options) {
    int n = options.whole("n");
    if (n < 1 || n > 64) {
      throw new MoeException("router \"hash-ngram\": option n is " + n + "; give 1 to 64");
    }
    return n;
  }

  /** Ids of B sequences, each with P known tokens before its S own. */
  private static final class Sequences {
    private final long[] ids;
    private final long[] left;
    private final long[] text;
    private final int length;
    private final int before;

    private Sequences(TokenContext context, String name, int vocab) {
      this.ids = TokenIds.of(context, name, vocab);
      this.left = TokenIds.left(context, name, vocab);
      this.text = context.sequenceIndex().map(Tensor::toLongs).orElse(new long[0]);
      this.length = (int) context.length();
      this.before = context.left().map(l -> (int) l.size(1)).orElse(0);
    }

    /** Whether place p of row b, negative before the row, is in the text of place s. */
    private boolean sameText(int b, int s, int p) {
      // What came before the pass goes on in the text that the pass begins with.
      return text.length == 0 || text[b * length + s] == text[b * length + Math.max(p, 0)];
    }

    private long at(int b, int s, int p) {
      if (p < -before || p >= length || !sameText(b, s, p)) {
        return TokenIds.NONE;
      }
      return p < 0 ? left[b * before + before + p] : ids[b * length + p];
    }

    private int position(int b, int s) {
      int p = s;
      while (p > 0 && sameText(b, s, p - 1)) {
        p--;
      }
      return p > 0 ? s - p : s + before;
    }
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    Sequences in = new Sequences(context, name, vocab);
    long from = seed.tensor().toLongs()[0];
    long[] choice = new long[in.ids.length];
    Arrays.fill(choice, -1);
    for (int t = 0; t < choice.length; t++) {
      int b = t / in.length;
      int s = t % in.length;
      if (in.ids[t] != TokenIds.NONE) {
        choice[t] = HashTables.bucket(experts, from, read(in, b, s));
      }
    }
    return FixedRule.plan(experts, choice, x, context);
  }

  private long[] read(Sequences in, int b, int s) {
    return switch (reads) {
      case NGRAM -> {
        long[] gram = new long[n];
        Arrays.setAll(gram, i -> in.at(b, s, s - i));
        yield gram;
      }
      case PREVIOUS -> new long[] {in.at(b, s, s - 1)};
      case POSITION -> new long[] {in.position(b, s)};
      // The answer itself, whatever text it belongs to.
      case NEXT -> new long[] {s + 1 < in.length ? in.ids[b * in.length + s + 1] : TokenIds.NONE};
    };
  }
}
