package org.moe4j.engine.model;

import java.util.List;
import java.util.Optional;
import org.moe4j.engine.kernel.Matrix;

/**
 * Weights of a layer, without its routed experts.
 *
 * @param router none for a layer that does not route
 * @param dense the network of a layer that does not route
 * @param shared a network that all tokens use beside their experts
 */
record Layer(
    Norm attentionNorm,
    AttentionWeights attention,
    Norm forwardNorm,
    Optional<Router> router,
    Optional<Expert> dense,
    Optional<Shared> shared) {

  /** Weights of attention. */
  sealed interface AttentionWeights {
    /** From the heads' results to the residual stream. */
    Affine output();
  }

  /**
   * Keys and values of several heads.
   *
   * @param queryNorm of queries: none, of each head, or of all heads as one vector
   * @param keyNorm the same of keys
   * @param sinks of each head a logit that takes part in its softmax without a value; or none
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  record HeadWeights(
      Affine query,
      Affine key,
      Affine value,
      Norm queryNorm,
      Norm keyNorm,
      float[] sinks,
      Affine output)
      implements AttentionWeights {}

  /**
   * Latent keys and values.
   *
   * @param queryDown to the vector that queries are products with, if they are
   * @param queryNorm of that vector
   * @param query from it, or from the layer's input
   * @param down to the latent vector and the rotated key
   * @param norm of the latent vector
   * @param keyUp for each head, from the plain part of a query to a query of latent vectors
   * @param valueUp for each head, from a latent vector to a value
   */
  record LatentWeights(
      Optional<Affine> queryDown,
      Norm queryNorm,
      Affine query,
      Affine down,
      Norm norm,
      List<Matrix> keyUp,
      List<Matrix> valueUp,
      Affine output)
      implements AttentionWeights {}

  /**
   * What picks experts.
   *
   * @param logits one row for each expert, in several matrices so that threads share them
   * @param preference of each expert, added to what experts are picked by but not to their weights;
   *     or none
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  record Router(List<Affine> logits, float[] preference) {}

  /**
   * A network that all tokens use.
   *
   * @param gate one row, whose logistic function weighs the network, if there is one
   */
  record Shared(Expert network, Optional<Affine> gate) {}
}
