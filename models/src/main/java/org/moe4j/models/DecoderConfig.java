package org.moe4j.models;

import java.util.List;
import org.moe4j.tensor.MoeException;

/**
 * The shape of a decoder language model: blocks of attention and a dense or sparse feed-forward
 * half, each with its norm and residual.
 *
 * @param vocab V, entries of the vocabulary
 * @param hidden d, width of the residual stream
 * @param attention the same in every block
 * @param windows for each block, how many tokens a query sees, its own among them; 0 for all. One
 *     entry per block, or none if no block has a window
 * @param norm kind of the blocks' norms and the last one (those of queries and keys are always RMS)
 * @param placement where a block's norms stand
 * @param normEps epsilon of the norms inside blocks
 * @param finalNormEps epsilon of the norm before the output projection
 * @param multipliers factors on embeddings, residual branches and logits
 * @param headBias whether the output projection has a bias
 * @param maxPositions the longest sequence
 * @param tiedEmbeddings whether the output projection is the token embedding
 * @param initStd deviation of the normal start of embedding, attention and output projection; the
 *     feed-forward halves start as their own configuration says
 * @param feedForward one entry per block, so its length is the number of layers
 */
public record DecoderConfig(
    int vocab,
    int hidden,
    AttentionConfig attention,
    List<Integer> windows,
    NormKind norm,
    NormPlacement placement,
    double normEps,
    double finalNormEps,
    Multipliers multipliers,
    boolean headBias,
    int maxPositions,
    boolean tiedEmbeddings,
    double initStd,
    List<FeedForwardConfig> feedForward) {

  /** Where a block's norms stand. */
  public enum NormPlacement {
    /** {@code x + f(norm(x))}. */
    PRE,
    /** {@code x + norm(f(x))}: OLMo 2 and FlexOlmo. */
    POST
  }

  /**
   * Factors of Granite's parametrisation.
   *
   * @param embedding of the token embeddings
   * @param residual of each branch before it is added
   * @param logits of the logits
   */
  public record Multipliers(double embedding, double residual, double logits) {
    /** No factors. */
    public static final Multipliers NONE = new Multipliers(1, 1, 1);

    /** Checks the numbers. */
    public Multipliers {
      for (double factor : new double[] {embedding, residual, logits}) {
        if (!Double.isFinite(factor)) {
          throw new MoeException("multiplier " + factor + ": must be a number");
        }
      }
    }
  }

  /** Checks the numbers. */
  public DecoderConfig {
    // Routers of token ids are told the vocabulary here.
    feedForward = feedForward.stream().map(f -> f.knowing(vocab)).toList();
    windows = windows.stream().allMatch(w -> w == 0) ? List.of() : List.copyOf(windows);
    atLeastOne("vocab", vocab);
    atLeastOne("hidden", hidden);
    atLeastOne("max_positions", maxPositions);
    atLeastOne("layers", feedForward.size());
    for (int i = 0; i < feedForward.size(); i++) {
      sameWidth(i, feedForward.get(i), hidden);
    }
    if (!windows.isEmpty() && windows.size() != feedForward.size()) {
      throw new MoeException(windows.size() + " windows for " + feedForward.size() + " layers");
    }
    windows.forEach(w -> natural("sliding_window", w));
    natural("norm_eps", normEps);
    natural("norm_eps", finalNormEps);
    natural("init_std", initStd);
  }

  private static void sameWidth(int layer, FeedForwardConfig f, int hidden) {
    f.sparse()
        .filter(moe -> moe.width() != hidden)
        .ifPresent(
            moe -> {
              throw new MoeException(
                  "layer "
                      + layer
                      + ": the sparse layer's width "
                      + moe.width()
                      + " is not hidden "
                      + hidden);
            });
  }

  private static void atLeastOne(String field, int value) {
    if (value < 1) {
      throw new MoeException(field + " " + value + ": must be at least 1");
    }
  }

  private static void natural(String field, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new MoeException(field + " " + value + ": must be a number of at least 0");
    }
  }

  /** RMSNorm with epsilon 1e-5, 4096 positions, untied embeddings, start with deviation 0.02. */
  public static DecoderConfig of(
      int vocab, int hidden, AttentionConfig attention, List<FeedForwardConfig> feedForward) {
    return builder(vocab, hidden, attention, feedForward).build();
  }

  /** A builder that starts from {@link #of}. */
  public static Builder builder(
      int vocab, int hidden, AttentionConfig attention, List<FeedForwardConfig> feedForward) {
    return new Builder(vocab, hidden, attention, feedForward);
  }

  /** A builder that starts from this configuration. */
  public Builder toBuilder() {
    return new Builder(vocab, hidden, attention, feedForward)
        .windows(windows)
        .norm(norm)
        .placement(placement)
        .normEps(normEps)
        .finalNormEps(finalNormEps)
        .multipliers(multipliers)
        .headBias(headBias)
        .maxPositions(maxPositions)
        .tiedEmbeddings(tiedEmbeddings)
        .initStd(initStd);
  }

  /** L, the number of blocks. */
  public int layers() {
    return feedForward.size();
  }

  /** How many tokens a query of block {@code layer} sees, its own among them; 0 for all. */
  public int window(int layer) {
    return windows.isEmpty() ? 0 : windows.get(layer);
  }

  /** How many parameters a model of this shape has. */
  public ParameterCount parameters() {
    return ParameterCount.of(this);
  }

  /** Builds a {@link DecoderConfig}. */
  public static final class Builder {
    private final int vocab;
    private final int hidden;
    private final AttentionConfig attention;
    private List<FeedForwardConfig> feedForward;
    private List<Integer> windows = List.of();
    private NormKind norm = NormKind.RMS;
    private NormPlacement placement = NormPlacement.PRE;
    private double normEps = 1e-5;
    private double finalNormEps = 1e-5;
    private Multipliers multipliers = Multipliers.NONE;
    private boolean headBias;
    private int maxPositions = 4096;
    private boolean tiedEmbeddings;
    private double initStd = 0.02;

    private Builder(
        int vocab, int hidden, AttentionConfig attention, List<FeedForwardConfig> feedForward) {
      this.vocab = vocab;
      this.hidden = hidden;
      this.attention = attention;
      this.feedForward = feedForward;
    }

    /** Other feed-forward halves. */
    public Builder feedForward(List<FeedForwardConfig> feedForward) {
      this.feedForward = feedForward;
      return this;
    }

    /** How many tokens a query of each block sees; empty or 0 for all. */
    public Builder windows(List<Integer> windows) {
      this.windows = windows;
      return this;
    }

    /** The kind of norms. */
    public Builder norm(NormKind norm) {
      this.norm = norm;
      return this;
    }

    /** Where norms stand. */
    public Builder placement(NormPlacement placement) {
      this.placement = placement;
      return this;
    }

    /** Epsilon of all norms. */
    public Builder normEps(double eps) {
      this.normEps = eps;
      this.finalNormEps = eps;
      return this;
    }

    /** Epsilon of the last norm alone. */
    public Builder finalNormEps(double eps) {
      this.finalNormEps = eps;
      return this;
    }

    /** Factors on embeddings, residual branches and logits. */
    public Builder multipliers(Multipliers multipliers) {
      this.multipliers = multipliers;
      return this;
    }

    /** A bias on the logits. */
    public Builder headBias(boolean on) {
      this.headBias = on;
      return this;
    }

    /** The longest sequence. */
    public Builder maxPositions(int maxPositions) {
      this.maxPositions = maxPositions;
      return this;
    }

    /** Whether the output projection is the token embedding. */
    public Builder tiedEmbeddings(boolean tied) {
      this.tiedEmbeddings = tied;
      return this;
    }

    /** Deviation of the start. */
    public Builder initStd(double initStd) {
      this.initStd = initStd;
      return this;
    }

    /**
     * The configuration.
     *
     * @throws MoeException if it is impossible, in one line
     */
    public DecoderConfig build() {
      return new DecoderConfig(
          vocab,
          hidden,
          attention,
          windows,
          norm,
          placement,
          normEps,
          finalNormEps,
          multipliers,
          headBias,
          maxPositions,
          tiedEmbeddings,
          initStd,
          feedForward);
    }
  }
}
