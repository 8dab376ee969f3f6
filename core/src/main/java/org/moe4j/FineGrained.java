package org.moe4j;

import org.moe4j.tensor.MoeException;

/**
 * Fine-grained expert segmentation and shared-expert isolation (S36): N experts of which a token
 * visits K are each cut into m thinner ones, and some of these serve every token. What a layer
 * costs stays what it was: m N - s routed experts, m K - s of them per token, s shared ones.
 *
 * @param segments m, thin experts per expert
 * @param shared s, thin experts that every token visits
 */
public record FineGrained(int segments, int shared) {
  public FineGrained {
    if (segments < 1 || shared < 0) {
      throw new MoeException(
          "an expert cut into "
              + segments
              + " and "
              + shared
              + " shared experts; give at least 1 and at least 0");
    }
  }

  /**
   * {@code coarse} with its experts cut, beside what it shares already.
   *
   * @throws MoeException if the width does not divide, or no routed expert is left to choose
   */
  public MoeConfig of(MoeConfig coarse) {
    int width = coarse.expertWidth();
    if (width % segments != 0) {
      throw new MoeException(
          "expert width " + width + " does not divide into " + segments + " segments");
    }
    int chosen = coarse.topK() * segments - shared;
    if (chosen < 1) {
      throw new MoeException(
          shared
              + " shared experts of the "
              + coarse.topK() * segments
              + " that a token visits leave none to choose; share fewer");
    }
    MoeConfig.Builder fine = coarse.toBuilder();
    return fine.expertWidth(width / segments)
        .experts(coarse.experts() * segments - shared)
        .topK(chosen)
        .sharedWidth(coarse.sharedWidth() + shared * (width / segments))
        .build();
  }
}
