package org.moe4j.engine.model;

import java.util.List;
import org.moe4j.engine.kernel.Matrix;

/**
 * Weights of a layer.
 *
 * @param queryNorm scales of a norm of queries: none, one head's, or all heads' as one vector
 * @param keyNorm the same of keys
 * @param router one row for each expert; none for a dense layer, which is an expert that all use
 * @param experts its feed-forward networks
 */
record Layer(
    float[] attentionNorm,
    Matrix query,
    Matrix key,
    Matrix value,
    float[] queryNorm,
    float[] keyNorm,
    Matrix output,
    float[] forwardNorm,
    List<Matrix> router,
    List<Expert> experts) {

  /** down (silu (gate x) * up x). */
  record Expert(Matrix gate, Matrix up, Matrix down) {}
}
