package org.moe4j.models;

import java.util.List;
import java.util.stream.Stream;
import org.moe4j.Capacity;
import org.moe4j.tensor.MoeException;

/**
 * The shape of a T5 encoder-decoder with sparse layers (Switch Transformers, S06): pre-norm blocks,
 * RMS norms, relative position biases, no biases in any projection.
 *
 * @param vocab V
 * @param hidden d, the width of the residual streams
 * @param heads H
 * @param headDim D, the width of a head; H*D need not be d
 * @param positions how distances share biases
 * @param encoder the feed-forward half of each encoder block
 * @param decoder the feed-forward half of each decoder block
 * @param capacity how many tokens an expert serves
 * @param normEps inside the norms' square roots
 * @param tied whether the output projection is the embedding; hidden states are then multiplied by
 *     d^-0.5 before it
 * @param start the token a decoder starts with
 */
public record EncoderDecoderConfig(
    int vocab,
    int hidden,
    int heads,
    int headDim,
    PositionBuckets positions,
    List<FeedForwardConfig> encoder,
    List<FeedForwardConfig> decoder,
    Capacity capacity,
    double normEps,
    boolean tied,
    int start) {
  /** Checks what can be checked without tensors. */
  public EncoderDecoderConfig {
    encoder = List.copyOf(encoder);
    decoder = List.copyOf(decoder);
    atLeastOne("vocab_size", vocab);
    atLeastOne("d_model", hidden);
    atLeastOne("num_heads", heads);
    atLeastOne("d_kv", headDim);
    atLeastOne("num_layers", encoder.size());
    atLeastOne("num_decoder_layers", decoder.size());
    if ((long) heads * headDim > Integer.MAX_VALUE) {
      throw new MoeException("num_heads " + heads + " of d_kv " + headDim + ": too wide");
    }
    if (!(normEps > 0) || Double.isInfinite(normEps)) {
      throw new MoeException("layer_norm_epsilon " + normEps + ": must be above 0");
    }
    if (start < 0 || start >= vocab) {
      throw new MoeException(
          "decoder_start_token_id " + start + ": not in the vocabulary of " + vocab);
    }
    for (FeedForwardConfig f : Stream.concat(encoder.stream(), decoder.stream()).toList()) {
      int width = f.sparse().map(m -> m.width()).orElse(hidden);
      if (width != hidden) {
        throw new MoeException("a sparse layer of width " + width + " in a model of " + hidden);
      }
    }
  }

  private static void atLeastOne(String field, int value) {
    if (value < 1) {
      throw new MoeException(field + " " + value + ": must be at least 1");
    }
  }

  /** H*D, the width of queries, keys and values. */
  public int inner() {
    return heads * headDim;
  }

  /** The same shape with another capacity. */
  public EncoderDecoderConfig withCapacity(Capacity capacity) {
    return new EncoderDecoderConfig(
        vocab, hidden, heads, headDim, positions, encoder, decoder, capacity, normEps, tied, start);
  }

  /**
   * How many parameters the model has. Those that a token meets are counted for a token of the text
   * and one of the answer together.
   *
   * @throws ArithmeticException if there are more than a long holds
   */
  public ParameterCount parameters() {
    long attention = Math.multiplyExact(4L * hidden, (long) inner());
    long tables = 2L * positions.buckets() * heads + 2L * hidden;
    long embeddings = Math.multiplyExact((long) vocab * hidden, tied ? 1L : 2L);
    long rest = Math.addExact(tables, embeddings);
    ParameterCount sum = new ParameterCount(rest, rest);
    for (FeedForwardConfig f : encoder) {
      sum = sum.plus(block(f, 1, attention));
    }
    for (FeedForwardConfig f : decoder) {
      sum = sum.plus(block(f, 2, attention));
    }
    return sum;
  }

  /** A block with so many attentions: each of these and the feed-forward half has a norm. */
  private ParameterCount block(FeedForwardConfig f, int attentions, long attention) {
    long own = Math.addExact(Math.multiplyExact(attentions, attention), (attentions + 1L) * hidden);
    return new ParameterCount(own, own).plus(ParameterCount.feedForward(f, hidden));
  }
}
