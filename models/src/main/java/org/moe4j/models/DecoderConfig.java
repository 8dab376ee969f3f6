package org.moe4j.models;

import java.util.List;
import org.moe4j.tensor.MoeException;

/**
 * The shape of a decoder language model: pre-norm blocks of rotary grouped-query attention and a
 * dense or sparse feed-forward half.
 *
 * @param vocab V, entries of the vocabulary
 * @param hidden d, width of the residual stream
 * @param attention the same in every block
 * @param norm kind of all norms (those of queries and keys are always RMS)
 * @param normEps their epsilon
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
    NormKind norm,
    double normEps,
    int maxPositions,
    boolean tiedEmbeddings,
    double initStd,
    List<FeedForwardConfig> feedForward) {

  /** Checks the numbers. */
  public DecoderConfig {
    // Routers of token ids are told the vocabulary here.
    feedForward = feedForward.stream().map(f -> f.knowing(vocab)).toList();
    atLeastOne("vocab", vocab);
    atLeastOne("hidden", hidden);
    atLeastOne("max_positions", maxPositions);
    atLeastOne("layers", feedForward.size());
    for (int i = 0; i < feedForward.size(); i++) {
      sameWidth(i, feedForward.get(i), hidden);
    }
    if (!(normEps >= 0) || Double.isInfinite(normEps)) {
      throw new MoeException("norm_eps " + normEps + ": must be a number of at least 0");
    }
    if (!(initStd >= 0) || Double.isInfinite(initStd)) {
      throw new MoeException("init_std " + initStd + ": must be a number of at least 0");
    }
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

  /** RMSNorm with epsilon 1e-5, 4096 positions, untied embeddings, start with deviation 0.02. */
  public static DecoderConfig of(
      int vocab, int hidden, AttentionConfig attention, List<FeedForwardConfig> feedForward) {
    return new DecoderConfig(
        vocab, hidden, attention, NormKind.RMS, 1e-5, 4096, false, 0.02, feedForward);
  }

  /** L, the number of blocks. */
  public int layers() {
    return feedForward.size();
  }

  /** With other norms. */
  public DecoderConfig withNorm(NormKind norm, double normEps) {
    return new DecoderConfig(
        vocab,
        hidden,
        attention,
        norm,
        normEps,
        maxPositions,
        tiedEmbeddings,
        initStd,
        feedForward);
  }

  /** With another longest sequence. */
  public DecoderConfig withMaxPositions(int maxPositions) {
    return new DecoderConfig(
        vocab,
        hidden,
        attention,
        norm,
        normEps,
        maxPositions,
        tiedEmbeddings,
        initStd,
        feedForward);
  }

  /** With tied or untied embeddings. */
  public DecoderConfig withTiedEmbeddings(boolean tiedEmbeddings) {
    return new DecoderConfig(
        vocab,
        hidden,
        attention,
        norm,
        normEps,
        maxPositions,
        tiedEmbeddings,
        initStd,
        feedForward);
  }

  /** With another deviation of the start. */
  public DecoderConfig withInitStd(double initStd) {
    return new DecoderConfig(
        vocab,
        hidden,
        attention,
        norm,
        normEps,
        maxPositions,
        tiedEmbeddings,
        initStd,
        feedForward);
  }

  /** How many parameters a model of this shape has. */
  public ParameterCount parameters() {
    return ParameterCount.of(this);
  }
}
