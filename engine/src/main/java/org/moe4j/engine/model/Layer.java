package org.moe4j.engine.model;

import java.util.List;
import java.util.Optional;
import org.moe4j.engine.kernel.Matrix;

/**
 * Weights of a layer.
 *
 * @param queryNorm scales of a norm of queries: none, one head's, or all heads' as one vector
 * @param keyNorm the same of keys
 * @param router one row for each expert; none for a dense layer
 * @param dense the network of a layer that does not route
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
    Optional<Expert> dense) {}
