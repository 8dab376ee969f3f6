package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * FastMoE's SWIPE gate (S08; the balancing of BaGuaLu): top-k by logit, but in training every
 * worker computes as many rows as its own tokens ask for, and none is dropped. Tokens lie on W
 * workers in equal runs (the first ones hold one more if W does not divide T), experts in runs of n
 * = E / W. Choice by choice j, a worker takes requests from the workers in turn until its room is
 * used up; what is refused goes to expert j mod n of the lowest worker with room, where the first
 * tokens of a worker keep their wish. Weights are a softmax over the logits of the experts that
 * were assigned in the end; two choices of a token may end on the same expert, which then counts
 * twice. Evaluation is plain top-k.
 */
public final class SwipeRouter implements Router {
  private final int experts;
  private final int k;
  private final int workers;
  private final Parameter weight;
  private final Parameter bias;

  /** The registry's entry. */
  static RouterEntry entry() {
    return RouterEntry.of(
            "swipe",
            "S08",
            "top-k whose surplus over a worker's share moves to workers with room (BaGuaLu)")
        .causality(Causality.TRAINING_ONLY)
        .taxonomy(
            Taxonomy.TOKEN_TOP_K
                .with("gate", "select then softmax")
                .with("balance", "by construction")
                .with("overflow", "dropless")
                .with("systems", "all-to-all"))
        .options(
            OptionKey.whole("workers", 0, "workers that share tokens and experts; 0: E of them"))
        .valid(c -> workers(c.experts(), c.routerEntry().check(c).whole("workers")))
        .build(
            s ->
                new SwipeRouter(
                    s.config().width(),
                    s.config().experts(),
                    s.config().topK(),
                    s.options().whole("workers"),
                    s.config().init().gate(s.config().width()),
                    s.store(),
                    s.layer()),
            c -> (long) c.experts() * (c.width() + 1));
  }

  /**
   * Makes {@code gate.weight} [E,d] and {@code gate.bias} [E].
   *
   * @param workers W, a divisor of E; 0 for one expert per worker
   */
  public SwipeRouter(
      int width, int experts, int k, int workers, Init init, ParameterStore store, int layer) {
    this.experts = experts;
    this.k = k;
    this.workers = workers(experts, workers);
    Role role = new Role.Gate(layer);
    this.weight = store.create("gate.weight", role, init, experts, width);
    this.bias = store.create("gate.bias", role, Init.zeros(), experts);
  }

  private static int workers(int experts, int workers) {
    int w = workers == 0 ? experts : workers;
    if (w < 1 || experts % w != 0) {
      throw new MoeException(
          "router \"swipe\": "
              + experts
              + " experts do not divide among "
              + w
              + " workers; change experts or workers");
    }
    return w;
  }

  @Override
  public TokenChoice route(Tensor x, TokenContext context) {
    DType type = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor z = Ops.linear(x.to(type), weight.tensor().to(type), bias.tensor().to(type));
    Tensor logits = Logits.finite(z, context);
    Tensor choices = Selection.top(logits, k);
    if (context.training()) {
      choices = assigned(choices, context);
    }
    Gating gating = Gating.TOP_K_SOFTMAX;
    Evidence evidence = Evidence.of(logits, logits.softmax(-1), logits, logits.detach());
    return TokenChoice.of(experts, choices, gating.selected(logits, choices), gating, evidence)
        .onlyReal(context);
  }

  private Tensor assigned(Tensor choices, TokenContext context) {
    int tokens = Math.toIntExact(choices.size(0));
    byte[] padding = context.padding().map(Tensor::toBytes).orElse(new byte[0]);
    int[] source = new int[tokens];
    long[] room = new long[workers];
    for (int t = 0; t < tokens; t++) {
      boolean real = padding.length == 0 || padding[t] != 0;
      source[t] = real ? worker(t, tokens) : -1;
      if (real) {
        room[source[t]] += k;
      }
    }
    long[] experts = choices.toLongs();
    for (int j = 0; j < k; j++) {
      assign(experts, j, source, room);
    }
    return Tensor.of(experts, tokens, k).to(choices.device());
  }

  /** The worker of token t: the first T mod W workers hold one token more. */
  private int worker(int t, int tokens) {
    int each = tokens / workers;
    int longer = tokens % workers;
    int head = longer * (each + 1);
    return t < head ? t / (each + 1) : longer + (t - head) / each;
  }

  /** Assigns the j-th choices and takes their rows from {@code room}. */
  private void assign(long[] chosen, int j, int[] source, long[] room) {
    int each = experts / workers;
    long[][] granted = new long[workers][workers];
    long[] surplus = new long[workers];
    for (int t = 0; t < source.length; t++) {
      if (source[t] >= 0) {
        granted[source[t]][(int) chosen[t * k + j] / each]++;
      }
    }
    for (int target = 0; target < workers; target++) {
      for (int from = 0; from < workers; from++) {
        long asked = granted[from][target];
        granted[from][target] = Math.min(asked, room[target]);
        room[target] -= granted[from][target];
        surplus[from] += asked - granted[from][target];
      }
    }
    long[][] dealt = new long[workers][workers];
    int open = 0;
    for (int from = 0; from < workers; from++) {
      while (surplus[from] > 0) {
        long n = Math.min(surplus[from], room[open]);
        dealt[from][open] += n;
        room[open] -= n;
        surplus[from] -= n;
        open += room[open] == 0 ? 1 : 0;
      }
    }
    for (int t = 0; t < source.length; t++) {
      int from = source[t];
      if (from >= 0 && --granted[from][(int) chosen[t * k + j] / each] < 0) {
        int target = 0;
        while (dealt[from][target] == 0) {
          target++;
        }
        dealt[from][target]--;
        chosen[t * k + j] = (long) target * each + j % each;
      }
    }
  }
}
