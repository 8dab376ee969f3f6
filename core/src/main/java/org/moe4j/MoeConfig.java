package org.moe4j;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;

/**
 * Everything that defines a Mixture-of-Experts layer. It builds, checks itself and counts.
 *
 * @param width d, the width of a token
 * @param expertWidth h, the hidden width of a routed expert
 * @param experts E
 * @param topK k, experts per token
 * @param router a name of the {@link RouterRegistry}
 * @param routerOptions the router's options; unknown keys are refused
 * @param form the function of a routed expert
 * @param sharedWidth hidden width of the shared experts together; 0 for none
 * @param sharedForm the function of a shared expert; the routed experts' if there is none
 * @param sharedGate whether a sigmoid gate weighs the shared expert
 * @param outputBias whether a trained bias [d] is added to what the routed experts give together
 * @param capacity what is dropped
 * @param dispatch how tokens reach experts
 * @param balance losses beside the task's
 * @param expertDropout chance of a routed expert's hidden activation to be zeroed in training
 * @param init how weights start
 * @param forceBalance debugging: choices go round robin, to tell a kernel's speed from skew
 */
public record MoeConfig(
    int width,
    int expertWidth,
    int experts,
    int topK,
    String router,
    Map<String, Object> routerOptions,
    ExpertForm form,
    int sharedWidth,
    ExpertForm sharedForm,
    boolean sharedGate,
    boolean outputBias,
    Capacity capacity,
    Dispatch dispatch,
    List<BalanceTerm> balance,
    double expertDropout,
    InitScheme init,
    boolean forceBalance) {

  /** Checks what can be checked without a model around. */
  public MoeConfig {
    routerOptions = Map.copyOf(routerOptions);
    balance = List.copyOf(balance);
    positive("width (d)", width);
    positive("expert width (h)", expertWidth);
    positive("experts (E)", experts);
    positive("top-k (k)", topK);
    if (topK > experts) {
      throw new MoeException(
          "top-k " + topK + " is more than the " + experts + " experts; lower top-k");
    }
    if (sharedWidth < 0) {
      throw new MoeException("shared width " + sharedWidth + "; give 0 for no shared expert");
    }
    if (sharedWidth == 0) {
      sharedForm = form;
    }
    if (sharedGate && sharedWidth == 0) {
      throw new MoeException("a shared gate without a shared expert; set the shared width");
    }
    if (!(expertDropout >= 0 && expertDropout < 1)) {
      throw new MoeException("expert dropout " + expertDropout + "; give 0 <= p < 1");
    }
    if (dispatch == Dispatch.DROPLESS && !capacity.unlimited()) {
      throw new MoeException(
          "dispatcher \"dropless\" and a capacity factor exclude each other; use dispatcher"
              + " \"buffers\" or no capacity");
    }
  }

  private static void positive(String what, int value) {
    if (value < 1) {
      throw new MoeException(what + " is " + value + "; give at least 1");
    }
  }

  /** A builder for E experts of width h, of which a token of width d visits k. */
  public static Builder builder(int width, int expertWidth, int experts, int topK) {
    return new Builder(width, expertWidth, experts, topK);
  }

  /** A builder that starts from this configuration. */
  public Builder toBuilder() {
    Builder b = new Builder(width, expertWidth, experts, topK);
    b.router = router;
    b.routerOptions = routerOptions;
    b.form = form;
    b.sharedWidth = sharedWidth;
    b.sharedForm = sharedForm.equals(form) ? null : sharedForm;
    b.sharedGate = sharedGate;
    b.outputBias = outputBias;
    b.capacity = capacity;
    b.dispatch = dispatch;
    b.balance = balance;
    b.expertDropout = expertDropout;
    b.init = init;
    b.forceBalance = forceBalance;
    return b;
  }

  /**
   * This configuration with the router's option {@code key}, if the router has it and it is not
   * set: what the model around knows, a router need not be told by hand.
   */
  public MoeConfig knowing(String key, long value) {
    boolean known = routerEntry().options().stream().anyMatch(o -> o.key().equals(key));
    if (!known || routerOptions.containsKey(key)) {
      return this;
    }
    Map<String, Object> options = new HashMap<>(routerOptions);
    options.put(key, value);
    return toBuilder().router(router, options).build();
  }

  /** All weights of the layer. */
  public long parameters() {
    MoeConfig in = inside();
    RouterEntry entry = routerEntry();
    long experts =
        entry
            .bank()
            .map(bank -> bank.parameters().applyAsLong(in))
            .orElseGet(() -> in.experts * in.form.parameters(in.width, in.expertWidth));
    return entry.parameters().applyAsLong(in) + parametersBeside() + experts;
  }

  /** Those of the {@link #parameters} that all layers with this router share. */
  public long commonParameters() {
    return routerEntry().commonParameters().applyAsLong(inside());
  }

  /**
   * The weights a token is computed with: the gate, its experts, the shared expert. Of a token in
   * several rows it is assumed that they go to different experts.
   */
  public long activeParameters() {
    MoeConfig in = inside();
    RouterEntry entry = routerEntry();
    long experts =
        entry
            .bank()
            .map(bank -> bank.activeParameters().applyAsLong(in))
            .orElseGet(() -> visited(entry, in) * in.form.parameters(in.width, in.expertWidth));
    return entry.parameters().applyAsLong(in) + parametersBeside() + experts;
  }

  /**
   * Floating-point operations per token of a forward pass without drops, a multiplication and an
   * addition counted as two; matrix products only (the accounting of S22). Backward takes twice as
   * many.
   */
  public long flopsPerToken() {
    MoeConfig in = inside();
    RouterEntry entry = routerEntry();
    long experts =
        entry
            .bank()
            .map(bank -> bank.flops().applyAsLong(in))
            .orElseGet(() -> in.perUnit() * perToken(entry, in) * in.expertWidth);
    long perShared = 2L * sharedForm.matrices() * width;
    long shared = perShared * sharedWidth + (sharedGate ? 2L * width : 0);
    return 2 * surroundParameters() + rows() * (entry.flops().applyAsLong(in) + experts) + shared;
  }

  /** Rows inside per token. */
  private long rows() {
    return routerEntry().surrounding().map(s -> s.rows().applyAsLong(this)).orElse(1L);
  }

  /** Different experts that a token's rows can meet. */
  private long visited(RouterEntry entry, MoeConfig in) {
    long rows = rows();
    return rows == 1 ? perToken(entry, in) : Math.min(in.experts, rows * perToken(entry, in));
  }

  private static long perToken(RouterEntry entry, MoeConfig config) {
    return entry.expertsPerToken().applyAsLong(config);
  }

  private long perUnit() {
    return 2L * form.matrices() * width;
  }

  /** What router and experts see of this configuration; itself without a surrounding. */
  MoeConfig inside() {
    return routerEntry().surrounding().map(s -> s.inside().apply(this)).orElse(this);
  }

  private long surroundParameters() {
    return routerEntry().surrounding().map(s -> s.parameters().applyAsLong(this)).orElse(0L);
  }

  /** Of what stands beside router and routed experts. */
  private long parametersBeside() {
    long shared =
        sharedWidth == 0 ? 0 : sharedForm.parameters(width, sharedWidth) + (sharedGate ? width : 0);
    return surroundParameters() + shared + (outputBias ? width : 0);
  }

  /** The registry's entry of the router. */
  public RouterEntry routerEntry() {
    return RouterRegistry.named(router);
  }

  /** Which other tokens the layer looks at: the router, and one that works inside it. */
  public Causality causality() {
    Causality outer = routerEntry().causality();
    Causality inner = inside().routerEntry().causality();
    return inner.compareTo(outer) > 0 ? inner : outer;
  }

  /** The gating, of routers that are configured by one. */
  public Optional<Gating> gating() {
    Options options = routerEntry().check(this);
    return options.has("logit-scale") ? Optional.of(GatingOptions.read(options)) : Optional.empty();
  }

  /** Builds a {@link MoeConfig}; what is not set has the default of most language models. */
  public static final class Builder {
    private int width;
    private int expertWidth;
    private int experts;
    private int topK;
    private String router = "softmax-top-k";
    private Map<String, Object> routerOptions = Map.of();
    private ExpertForm form = ExpertForm.SWIGLU;
    private int sharedWidth;
    private @Nullable ExpertForm sharedForm;
    private boolean sharedGate;
    private boolean outputBias;
    private Capacity capacity = Capacity.NONE;
    private @Nullable Dispatch dispatch;
    private List<BalanceTerm> balance = List.of();
    private double expertDropout;
    private InitScheme init = InitScheme.NORMAL;
    private boolean forceBalance;

    private Builder(int width, int expertWidth, int experts, int topK) {
      this.width = width;
      this.expertWidth = expertWidth;
      this.experts = experts;
      this.topK = topK;
    }

    /** d. */
    public Builder width(int width) {
      this.width = width;
      return this;
    }

    /** h. */
    public Builder expertWidth(int expertWidth) {
      this.expertWidth = expertWidth;
      return this;
    }

    /** E. */
    public Builder experts(int experts) {
      this.experts = experts;
      return this;
    }

    /** k. */
    public Builder topK(int topK) {
      this.topK = topK;
      return this;
    }

    /** The router by name, with its default options. */
    public Builder router(String name) {
      return router(name, Map.of());
    }

    /** The router by name, with options. */
    public Builder router(String name, Map<String, ?> options) {
      this.router = name;
      this.routerOptions = Map.copyOf(options);
      return this;
    }

    /** The linear token-choice router with this gating. */
    public Builder gating(Gating gating) {
      return router("softmax-top-k", GatingOptions.write(gating));
    }

    /** The function of an expert, routed or shared. */
    public Builder form(ExpertForm form) {
      this.form = form;
      return this;
    }

    /** Hidden width of the shared experts together. */
    public Builder sharedWidth(int sharedWidth) {
      this.sharedWidth = sharedWidth;
      return this;
    }

    /** {@code n} shared experts of the routed experts' width. */
    public Builder sharedExperts(int n) {
      return sharedWidth(n * expertWidth);
    }

    /** The function of a shared expert where it is not that of the routed ones. */
    public Builder sharedForm(ExpertForm form) {
      this.sharedForm = form;
      return this;
    }

    /** A sigmoid gate on the shared expert. */
    public Builder sharedGate(boolean on) {
      this.sharedGate = on;
      return this;
    }

    /** A trained bias [d] on what the routed experts give together (JetMoE). */
    public Builder outputBias(boolean on) {
      this.outputBias = on;
      return this;
    }

    /** What is dropped; without an explicit dispatcher this means buffers. */
    public Builder capacity(Capacity capacity) {
      this.capacity = capacity;
      return this;
    }

    /** How tokens reach experts. */
    public Builder dispatch(Dispatch dispatch) {
      this.dispatch = dispatch;
      return this;
    }

    /** Adds a balance loss with its coefficient. */
    public Builder balance(Balance loss, double coefficient) {
      List<BalanceTerm> more = new ArrayList<>(balance);
      more.add(new BalanceTerm(loss, coefficient));
      this.balance = more;
      return this;
    }

    /** Replaces all balance losses. */
    public Builder balance(List<BalanceTerm> terms) {
      this.balance = terms;
      return this;
    }

    /** Dropout inside routed experts. */
    public Builder expertDropout(double p) {
      this.expertDropout = p;
      return this;
    }

    /** How weights start. */
    public Builder init(InitScheme init) {
      this.init = init;
      return this;
    }

    /** Round-robin choices, for measurements. */
    public Builder forceBalance(boolean on) {
      this.forceBalance = on;
      return this;
    }

    /**
     * The configuration.
     *
     * @throws MoeException if it is impossible, in one line
     */
    public MoeConfig build() {
      Dispatch how =
          dispatch != null ? dispatch : capacity.unlimited() ? Dispatch.DROPLESS : Dispatch.BUFFERS;
      return new MoeConfig(
          width,
          expertWidth,
          experts,
          topK,
          router,
          routerOptions,
          form,
          sharedWidth,
          sharedForm == null ? form : sharedForm,
          sharedGate,
          outputBias,
          capacity,
          how,
          balance,
          expertDropout,
          init,
          forceBalance);
    }
  }
}
