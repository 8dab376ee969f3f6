package org.moe4j.engine.model;

import org.moe4j.engine.kernel.Matrix;

/**
 * A product with a matrix plus a bias.
 *
 * @param bias one number for each row of the matrix; none in most models
 */
@SuppressWarnings("ArrayRecordComponent") // handed over, never compared
record Affine(Matrix matrix, float[] bias) {}
