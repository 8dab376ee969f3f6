package org.moe4j.models;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Tensor;

/** Causal self-attention: the attention half of a block without its norm and residual. */
public sealed interface Attention permits GroupedQueryAttention, LatentAttention, ExpertAttention {

  /**
   * {@code x [B,S,d]} to [B,S,d].
   *
   * @param context of the same tokens
   * @param span where the tokens stand
   * @param cache the keys and values of the tokens before, to which those of x are added (its
   *     length is not changed, see {@link KvCache#advance}); null if x are whole sequences
   */
  Tensor apply(Tensor x, TokenContext context, Span span, @Nullable KvCache cache);

  /** The attention of layer {@code layer}. */
  static Attention of(ParameterStore store, DecoderConfig decoder, int layer, Rope rope) {
    return switch (decoder.attention()) {
      case GroupedQueryConfig c -> new GroupedQueryAttention(store, decoder, c, layer, rope);
      case LatentConfig c -> new LatentAttention(store, decoder, c, layer, rope);
      case AttentionExpertsConfig c -> new ExpertAttention(store, decoder, c, layer, rope);
    };
  }

  /** This attention as one with passes of its own on the CPU, where it is plain enough for that. */
  default Optional<GroupedQueryAttention> plain() {
    return Optional.empty();
  }
}
