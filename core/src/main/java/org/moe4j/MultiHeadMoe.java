package org.moe4j;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * MH-MoE (S41): a token is mixed by a matrix and split into h parts of width d / h; another router
 * sends each part to experts of that width; the outputs are put together again and mixed by a
 * second matrix. Parts follow each other token by token, so that earlier tokens still come first.
 *
 * <p>The paper also writes a residual from each part to its output, which the released code lacks;
 * neither it nor the code's biases are on by default.
 */
public final class MultiHeadMoe implements Surround {
  private final int heads;
  private final boolean residual;
  private final Parameter head;
  private final Parameter merge;
  private final @Nullable Parameter headBias;
  private final @Nullable Parameter mergeBias;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "mh-moe", "S41", "tokens split into parts, each routed by another router (inner)")
        .losses("switch")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("unit", "sub-token")
                .with("gate", "softmax then select + not renormalised")
                .with("placement", "feed-forward + every other")
                .with("experts", "few large"))
        .options(
            OptionKey.whole("heads", 4, "h, parts of a token; divides d"),
            OptionKey.word("inner", "softmax-top-k", List.of(), "the router of the parts"),
            OptionKey.word("inner-options", "", List.of(), "its options: key=value,key=value"),
            OptionKey.flag("residual", false, "add each part to its output"),
            OptionKey.flag("bias", false, "biases of the two matrices (code: true)"))
        .valid(MultiHeadMoe::valid)
        .flops(c -> c.routerEntry().flops().applyAsLong(c))
        .expertsPerToken(c -> c.routerEntry().expertsPerToken().applyAsLong(c))
        .surrounding(
            new RouterEntry.Surrounding(
                MultiHeadMoe::inside,
                s ->
                    new MultiHeadMoe(
                        s.config().width(),
                        s.options().whole("heads"),
                        s.options().flag("residual"),
                        s.options().flag("bias"),
                        s.store()),
                c -> 2L * c.width() * (c.width() + (options(c).flag("bias") ? 1 : 0)),
                c -> options(c).whole("heads")))
        .build(
            s -> {
              RouterEntry inner = s.config().routerEntry();
              return inner
                  .maker()
                  .apply(
                      new RouterSetup(s.config(), inner.check(s.config()), s.store(), s.layer()));
            },
            c -> c.routerEntry().parameters().applyAsLong(c));
  }

  private static Options options(MoeConfig config) {
    return config.routerEntry().check(config);
  }

  private static MoeConfig inside(MoeConfig config) {
    Options options = options(config);
    int heads = options.whole("heads");
    if (heads < 1 || config.width() % heads != 0) {
      throw new MoeException(
          "router \"mh-moe\": "
              + heads
              + " heads do not divide the width "
              + config.width()
              + "; change option heads");
    }
    String inner = options.word("inner");
    RouterEntry entry = RouterRegistry.named(inner);
    if (entry.form() != RoutingForm.TOKEN_CHOICE
        || entry.bank().isPresent()
        || entry.surrounding().isPresent()) {
      throw new MoeException(
          "router \"mh-moe\" and inner router \""
              + inner
              + "\" exclude each other: parts must choose feed-forward experts themselves; name a"
              + " token-choice router");
    }
    return config.toBuilder()
        .width(config.width() / heads)
        .sharedWidth(0)
        .sharedGate(false)
        .outputBias(false)
        .router(inner, pairs(options.word("inner-options")))
        .build();
  }

  private static void valid(MoeConfig config) {
    MoeConfig inside = inside(config);
    inside.routerEntry().validate(inside);
  }

  /** {@code key=value,key=value} as a map. */
  private static Map<String, String> pairs(String text) {
    Map<String, String> pairs = new LinkedHashMap<>();
    for (String pair : text.isBlank() ? new String[0] : text.split(",", -1)) {
      int at = pair.indexOf('=');
      if (at < 1) {
        throw new MoeException(
            "router \"mh-moe\": inner-options has \""
                + pair.strip()
                + "\"; give key=value pairs with commas between them");
      }
      pairs.put(pair.substring(0, at).strip(), pair.substring(at + 1).strip());
    }
    return pairs;
  }

  /**
   * Makes {@code heads.weight} and {@code merge.weight} [d,d], Xavier-uniform with gains 1/sqrt(2)
   * and 1, and where asked for {@code heads.bias} and {@code merge.bias} [d], which start at 0.
   *
   * @param heads h; divides the width
   * @param residual whether each part is added to its output
   */
  public MultiHeadMoe(int width, int heads, boolean residual, boolean bias, ParameterStore store) {
    this.heads = heads;
    this.residual = residual;
    Role role = Role.NON_EXPERT;
    double bound = Math.sqrt(3.0 / width);
    this.head =
        store.create("heads.weight", role, Init.uniform(bound / Math.sqrt(2)), width, width);
    this.merge = store.create("merge.weight", role, Init.uniform(bound), width, width);
    this.headBias = bias ? store.create("heads.bias", role, Init.zeros(), width) : null;
    this.mergeBias = bias ? store.create("merge.bias", role, Init.zeros(), width) : null;
  }

  @Override
  public Tensor before(Tensor x, TokenContext context) {
    return mixed(x, head, headBias).view(x.size(0) * heads, x.size(1) / heads);
  }

  @Override
  public TokenContext inside(TokenContext context) {
    return context.split(heads);
  }

  @Override
  public Tensor after(Tensor y, Tensor rows, TokenContext context) {
    Tensor parts = residual ? y.add(rows) : y;
    return mixed(parts.reshape(y.size(0) / heads, y.size(1) * heads), merge, mergeBias);
  }

  private static Tensor mixed(Tensor x, Parameter weight, @Nullable Parameter bias) {
    return Ops.linear(
        x, weight.tensor().to(x.dtype()), bias == null ? null : bias.tensor().to(x.dtype()));
  }
}
