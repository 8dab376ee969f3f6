package org.moe4j;

import java.util.ArrayList;
import java.util.List;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * Yuan's attention router (S43): with q, k and v of one number per expert, expert i attends to
 * expert j by q_i k_j, without a scale, and its value is {@code P_i = sum_j softmax_j(q_i k_j)
 * v_j}. The k experts of the largest P are chosen; their weights are the softmax over these, which
 * the paper leaves open and its code computes as a renormalised softmax over all. Tokens do not
 * attend to each other.
 *
 * <p>Memory: the [T,E,E] matrix exists for at most {@value #ELEMENTS} elements at a time, in
 * training as far as the backward pass does not need it.
 */
public final class AttentionRouter implements Router {
  /** The largest attention matrix at a time, in elements. */
  private static final long ELEMENTS = 1 << 22;

  private static final Gating GATING = Gating.TOP_K_SOFTMAX;

  private final int k;
  private final boolean inputType;
  private final Parameter query;
  private final Parameter key;
  private final Parameter value;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of("yuan-attention", "S43", "attention among experts instead of a product")
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("signal", "attention")
                .with("choices", "2")
                .with("gate", "select then softmax")
                .with("balance", "none"))
        .options(
            OptionKey.word(
                "projections",
                "f32",
                List.of("f32", "input"),
                "type of the three products; input (code): that of the hidden states"))
        .flops(
            c -> {
              long e = c.experts();
              return 2 * (3 * e * c.width() + 2 * e * e);
            })
        .build(
            s ->
                new AttentionRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().word("projections").equals("input"),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> 3L * c.experts() * c.width());
  }

  /**
   * Makes {@code gate.query.weight}, {@code gate.key.weight} and {@code gate.value.weight} [E,d].
   *
   * @param inputType whether the three products are taken in the type of the hidden states, as the
   *     released code does, before F32
   */
  public AttentionRouter(
      int width,
      int experts,
      int k,
      boolean inputType,
      Init init,
      ParameterStore store,
      int layer) {
    this.k = k;
    this.inputType = inputType;
    Role role = new Role.Gate(layer);
    this.query = store.create("gate.query.weight", role, init, experts, width);
    this.key = store.create("gate.key.weight", role, init, experts, width);
    this.value = store.create("gate.value.weight", role, init, experts, width);
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    Tensor p = Logits.finite(attended(x), context);
    Tensor choices = Selection.top(p, k);
    return TokenChoice.of(
            (int) p.size(1),
            choices,
            GATING.selected(p, choices),
            GATING,
            Evidence.of(p, p.softmax(-1), p, p.detach()))
        .onlyReal(context);
  }

  private Tensor attended(Tensor x) {
    Tensor q = projected(x, query);
    Tensor k = projected(x, key);
    Tensor v = projected(x, value);
    long experts = q.size(1);
    long tokens = q.size(0);
    long chunk = Math.max(1, ELEMENTS / (experts * experts));
    if (tokens <= chunk) {
      return attended(q, k, v);
    }
    List<Tensor> parts = new ArrayList<>();
    for (long start = 0; start < tokens; start += chunk) {
      long n = Math.min(chunk, tokens - start);
      parts.add(attended(q.narrow(0, start, n), k.narrow(0, start, n), v.narrow(0, start, n)));
    }
    return Tensor.cat(parts, 0);
  }

  private static Tensor attended(Tensor q, Tensor k, Tensor v) {
    return Scope.of(
        () -> q.unsqueeze(2).mul(k.unsqueeze(1)).softmax(-1).bmm(v.unsqueeze(2)).squeeze(2));
  }

  private Tensor projected(Tensor x, Parameter weight) {
    DType out = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    DType type = inputType ? x.dtype() : out;
    return Ops.linear(x.to(type), weight.tensor().to(type), null).to(out);
  }
}
