package org.moe4j;

import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * Retrieval by product keys: each of h heads makes a query of a token, normalises it and finds its
 * k best of N experts; their scores alone compete. All heads search the same N experts, an expert
 * found by two heads counts twice, and the heads' results add up.
 *
 * <p>With {@link SingleNeuronExperts} this is PEER (S52), with {@link ValueTable} a product-key
 * memory (PKM, in S29's forms).
 */
public final class ProductKeyRouter implements Router {
  /** From the scores of the k experts that a head found to their weights. */
  enum Score {
    /** They sum to one in each head. */
    SOFTMAX,
    /** Each alone. */
    SIGMOID,
    /** Each alone, none below zero (S29). */
    RELU;

    private Tensor of(Tensor scores) {
      return switch (this) {
        case SOFTMAX -> scores.softmax(-1);
        case SIGMOID -> scores.sigmoid();
        case RELU -> Ops.relu(scores);
      };
    }
  }

  private static final String HEADS = "heads";
  private static final String KEY_WIDTH = "key-width";
  private static final String KEYS = "keys";
  private static final String QUERY_NORM = "query-norm";
  private static final String SCORE = "score";
  private static final String QUERY = "query";
  private static final String ROW_GRADIENTS = "row-gradients";
  private static final String SHARED = "shared";
  private static final String PROJECTED = "projected";

  private final int experts;
  private final int heads;
  private final int k;
  private final Score score;
  private final @Nullable Parameter query;
  private final QueryNorm norm;
  private final ProductKeys keys;

  private ProductKeyRouter(RouterSetup s) {
    Shape shape = Shape.of(s.config(), s.options());
    this.experts = s.config().experts();
    this.heads = shape.heads;
    this.k = s.config().topK();
    this.score = s.options().constant(SCORE, Score.class);
    int d = s.config().width();
    this.query =
        shape.projected
            ? s.store()
                .create(
                    "gate.query.weight",
                    new Role.Gate(s.layer()),
                    Init.kaimingUniform(d),
                    (long) heads * shape.keyWidth,
                    d)
            : null;
    this.norm = new QueryNorm(shape.norm, heads, shape.keyWidth, s.store(), s.layer());
    this.keys =
        new ProductKeys(heads, experts, shape.keyWidth / 2, shape.shared, s.store(), s.layer());
  }

  /** The sizes that a configuration's options mean. */
  private record Shape(
      int heads, int keyWidth, boolean shared, boolean projected, QueryNorm.Kind norm) {
    static Shape of(MoeConfig config, Options o) {
      boolean projected = o.word(QUERY).equals(PROJECTED);
      int width = o.whole(KEY_WIDTH) == 0 ? config.width() : o.whole(KEY_WIDTH);
      if (o.whole(HEADS) < 1) {
        throw new MoeException("option heads is " + o.whole(HEADS) + "; give at least 1");
      }
      if (width < 2 || width % 2 != 0) {
        throw new MoeException(
            "product keys compare two halves of a query, whose width is "
                + width
                + "; set option key-width to an even number");
      }
      if (!projected && width != config.width()) {
        throw new MoeException(
            "option key-width "
                + width
                + " and option query \"hidden\" exclude each other: such a query is the token of"
                + " width "
                + config.width()
                + "; leave key-width out or set query to \"projected\"");
      }
      return new Shape(
          o.whole(HEADS),
          width,
          o.word(KEYS).equals(SHARED),
          projected,
          o.constant(QUERY_NORM, QueryNorm.Kind.class));
    }

    static Shape of(MoeConfig config) {
      return of(config, config.routerEntry().check(config));
    }

    long parameters(MoeConfig c) {
      long queries = (long) heads * keyWidth;
      return (projected ? queries * c.width() : 0)
          + QueryNorm.parameters(norm, queries)
          + (shared ? 1 : heads) * (long) keyWidth * ProductKeys.side(c.experts());
    }

    long flops(MoeConfig c) {
      long queries = (long) heads * keyWidth;
      return 2 * queries * ((projected ? c.width() : 0) + ProductKeys.side(c.experts()));
    }
  }

  /** Experts that a token retrieves: h k. */
  private static long retrieved(MoeConfig config) {
    return (long) Shape.of(config).heads * config.topK();
  }

  /** PEER (S52). */
  static RouterEntry peer() {
    RouterEntry.Bank bank =
        new RouterEntry.Bank(
            s ->
                new SingleNeuronExperts(
                    s.config().experts(),
                    s.config().width(),
                    s.options().constant("activation", Activation.class),
                    s.options().flag(ROW_GRADIENTS),
                    s.config().init().weight(s.config().width()),
                    s.config().init().weight(retrieved(s.config())),
                    s.store(),
                    s.layer()),
            c -> 2L * c.experts() * c.width(),
            c -> 2L * retrieved(c) * c.width(),
            c -> 4L * retrieved(c) * c.width());
    return entry(
        RouterEntry.of(
                "peer",
                "S52",
                "product keys, k of up to a million single-neuron experts for each of h heads"
                    + " (the expert's width and form do not matter)")
            .taxonomy(
                taxonomy()
                    .with("placement", "feed-forward + one layer")
                    .with("experts", "single neurons"))
            .bank(bank),
        List.of(
            OptionKey.whole(HEADS, 8, "queries of a token; each finds k experts"),
            norm("batch"),
            score("softmax"),
            query(PROJECTED),
            OptionKey.word(
                "activation", "gelu", List.of("gelu", "relu", "silu"), "of an expert's neuron")));
  }

  /** Product-key memory in S29's forms. */
  static RouterEntry pkm() {
    RouterEntry.Bank bank =
        new RouterEntry.Bank(
            s ->
                new ValueTable(
                    s.config().experts(),
                    s.config().width(),
                    s.options().flag(ROW_GRADIENTS),
                    values(s),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * c.width(),
            c -> retrieved(c) * c.width(),
            c -> 2 * retrieved(c) * c.width());
    return entry(
        RouterEntry.of(
                "pkm",
                "S29",
                "product-key memory: h heads add up the values of their k best keys, scores by"
                    + " ReLU (the original: score softmax, query projected, query-norm batch)")
            .taxonomy(taxonomy().with("gate", "not renormalised"))
            .bank(bank),
        List.of(
            OptionKey.whole(HEADS, 4, "queries of a token; each finds k values"),
            norm("none"),
            score("relu"),
            query("hidden"),
            OptionKey.word(
                "values",
                "active",
                List.of("active", "all"),
                "values start with deviation 1/sqrt(n): n the h k of a token, or all N")));
  }

  private static Init values(RouterSetup s) {
    boolean active = s.options().word("values").equals("active");
    long n = active ? retrieved(s.config()) : s.config().experts();
    return Init.normal(1 / Math.sqrt((double) n));
  }

  private static Taxonomy taxonomy() {
    return Taxonomy.TOKEN_TOP_K
        .with("signal", "product keys")
        .with("gate", "select then softmax")
        .with("balance", "none")
        .with("systems", "gather");
  }

  private static OptionKey norm(String standard) {
    return OptionKey.word(
        QUERY_NORM,
        standard,
        List.of("batch", "layer", "none"),
        "norm of queries; batch: statistics of the batch in training, running ones elsewhere");
  }

  private static OptionKey score(String standard) {
    return OptionKey.word(
        SCORE,
        standard,
        List.of("softmax", "sigmoid", "relu"),
        "from a head's k scores to weights");
  }

  private static OptionKey query(String standard) {
    return OptionKey.word(
        QUERY,
        standard,
        List.of(PROJECTED, "hidden"),
        "a projection for each head, or the token itself");
  }

  private static RouterEntry entry(RouterEntry.Builder entry, List<OptionKey> own) {
    List<OptionKey> shared =
        List.of(
            OptionKey.whole(KEY_WIDTH, 0, "width of a query, even; 0: the token's"),
            OptionKey.word(
                KEYS, "per-head", List.of("per-head", SHARED), "whether heads share sub-keys"),
            OptionKey.flag(
                ROW_GRADIENTS,
                true,
                "a step moves the experts it retrieved alone (lazy Adam); false: all"));
    return entry
        .form(RoutingForm.RETRIEVAL)
        // Batch norm's statistics; with another query-norm it looks at no other token.
        .causality(Causality.TRAINING_ONLY)
        .unscored()
        .options(Stream.concat(own.stream(), shared.stream()).toList())
        .valid(
            c -> {
              Shape shape = Shape.of(c);
              ProductKeys.side(c.experts());
              Math.toIntExact((long) shape.heads * shape.keyWidth);
            })
        .flops(c -> Shape.of(c).flops(c))
        .expertsPerToken(ProductKeyRouter::retrieved)
        .build(ProductKeyRouter::new, c -> Shape.of(c).parameters(c));
  }

  @Override
  public Retrieval route(Tensor x, TokenContext context) {
    Tensor own = x.to(x.dtype() == DType.F64 ? DType.F64 : DType.F32);
    long tokens = own.size(0);
    Tensor queries;
    if (query == null) {
      Logits.finite(own, "router input", "feature", context);
      queries =
          own.unsqueeze(1).expand(tokens, heads, own.size(1)).reshape(tokens, heads * own.size(1));
    } else {
      queries = Ops.linear(own, query.tensor().to(own.dtype()), null);
      Logits.finite(queries, "router query", "feature", context);
    }
    Tensor normed = norm.apply(queries, context);
    ProductKeys.Found found = keys.find(normed.reshape(tokens, heads, normed.size(1) / heads), k);
    long n = (long) heads * k;
    Tensor ids = found.ids().to(x.device()).view(tokens, n);
    Tensor weights = score.of(found.scores()).reshape(tokens, n);
    if (context.padding().isPresent()) {
      Tensor padded = context.padding().get().not().unsqueeze(1);
      ids = ids.maskedFill(padded, -1);
      weights = weights.maskedFill(padded, 0);
    }
    return new Retrieval(experts, ids, weights, Evidence.none());
  }
}
